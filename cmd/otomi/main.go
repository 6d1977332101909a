// Command otomi compiles a platform's values and deploys them to Kubernetes.
//
// This package is the front door: it reads the arguments, the environment, the working directory and the terminal, asks
// the pipeline, hands what comes back to the report, and exits. It decides nothing about values, charts or clusters.
package main

import (
	"os"
	_ "time/tzdata" // a template that names a time zone renders the same on a machine without them
)

// version is set by the linker (see the Makefile).
var version = "dev"

func main() { os.Exit(run(process())) }
