package main

import (
	"runtime/debug"
	"slices"
	"strings"
)

// recovered turns a panic of the program into its last words, which go through the redactor as all others do: what a program
// panics with may hold a value.
func (a *app) recovered(code *int) {
	v := recover()
	if v == nil {
		return
	}
	a.hideArguments()
	a.report.Talk("error: otomi has a fault that ended it: %v", v)
	a.report.Talk("%s", debug.Stack())
	a.report.Talk("please report it with the lines above; nothing of them is a secret that otomi knows of")
	*code = exitFailed
}

// givenSecrets are the flags whose values may hold secrets.
var givenSecrets = []string{
	"--state-values-set", "--state-values-set-string", "--set", "--password", "-p", "--args", "--diff-args", "--sync-args",
	"--template-args", "--post-renderer-args",
}

// leastGiven is the shortest value of a flag that is hidden in an error about the command line, in bytes.
const leastGiven = 4

// hideArguments hides the values of the command line that may be secret, for errors that come before it is understood.
func (a *app) hideArguments() {
	var hidden []string
	args := a.world.args
	for i, arg := range args {
		name, text, given := strings.Cut(arg, "=")
		if !slices.Contains(givenSecrets, name) {
			continue
		}
		if !given && i+1 < len(args) {
			text = args[i+1]
		}
		for _, part := range append(strings.Split(text, ","), text) {
			if _, value, ok := strings.Cut(part, "="); ok {
				part = value
			}
			if len(part) >= leastGiven {
				hidden = append(hidden, part)
			}
		}
	}
	a.report.Hide(hidden)
}
