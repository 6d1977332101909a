package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const registryHelp = `Log in to registries of charts, and out again.

Credentials are kept in your own otomi/registry.json, never in a repository. Those of
helm registry login and docker login are found without this.

  otomi registry login registry.example.com -u robot --password-stdin < token
  otomi registry logout registry.example.com`

var errNoRegistryFile = errors.New("there is no place for credentials: set HOME or XDG_CONFIG_HOME")

func newRegistry(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "log in to registries of charts, and out again",
		Long:  registryHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRegistryLogin(a), newRegistryLogout(a))
	return cmd
}

const registryLoginHelp = `Log in to a registry of charts, and remember the credentials.

They are tried before they are written. On a terminal the password is asked for.

  otomi registry login registry.example.com -u robot --password-stdin < token`

type registryLoginOptions struct {
	username, password string
	passwordStdin      bool
	plainHTTP          bool
	insecure           bool
	caFile             string
	certFile, keyFile  string
}

func newRegistryLogin(a *app) *cobra.Command {
	var o registryLoginOptions
	cmd := &cobra.Command{
		Use:         "login HOST",
		Short:       "log in to a registry",
		Long:        registryLoginHelp,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{withoutSettings: ""},
		RunE:        func(cmd *cobra.Command, args []string) error { return runRegistryLogin(cmd.Context(), a, args[0], o) },
	}
	cmd.Flags().StringVarP(&o.username, "username", "u", "", "`NAME` of the user")
	cmd.Flags().StringVarP(&o.password, "password", "p", "", "`PASSWORD` of the user; others on the machine can see it: prefer --password-stdin")
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&o.plainHTTP, "plain-http", false, "ask the registry without TLS")
	cmd.Flags().BoolVar(&o.insecure, "insecure", false, "do not check the registry's certificate")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "check the registry's certificate with the authorities in `FILE`")
	cmd.Flags().StringVar(&o.certFile, "cert-file", "", "show the registry the certificate in `FILE`")
	cmd.Flags().StringVar(&o.keyFile, "key-file", "", "`FILE` with the key of --cert-file")
	return cmd
}

func runRegistryLogin(ctx context.Context, a *app, host string, o registryLoginOptions) error {
	file := a.world.registryFile()
	if file == "" {
		return errNoRegistryFile
	}
	if err := a.complete(&o); err != nil {
		return err
	}
	a.report.Hide([]string{o.password})
	remote := a.world.remote()
	err := pipeline.Login(ctx, pipeline.LoginOptions{
		Host: host, Username: o.username, Password: o.password, File: file, PlainHTTP: o.plainHTTP, SkipTLSVerify: o.insecure,
		CAFile: a.optionalPath(o.caFile), CertFile: a.optionalPath(o.certFile), KeyFile: a.optionalPath(o.keyFile),
		UserAgent: remote.UserAgent, Proxy: remote.Proxy,
	})
	if err != nil {
		return err
	}
	a.report.Talk("logged in to %s; the credentials are in %s", host, file)
	return nil
}

// complete finds out who logs in: what the flags do not say is asked for on a terminal.
func (a *app) complete(o *registryLoginOptions) error {
	w := a.world
	if o.password != "" && o.passwordStdin {
		return errors.New("--password can't be used with --password-stdin; leave out one of them")
	}
	if o.passwordStdin {
		text, err := io.ReadAll(io.LimitReader(w.stdin, maxPassword+1))
		if err != nil {
			return fmt.Errorf("reading the password: %w", err)
		}
		if len(text) > maxPassword {
			return fmt.Errorf("the password has more than %d bytes; pipe the password alone", maxPassword)
		}
		o.password = strings.TrimRight(string(text), "\r\n")
	}
	asks := w.stdinTerminal && w.stderrTerminal && !w.inCI()
	if o.username == "" && asks && !o.passwordStdin {
		a.report.Ask("user name: ")
		line, err := bufio.NewReader(io.LimitReader(w.stdin, maxPassword)).ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading the user name: %w", err)
		}
		o.username = strings.TrimSpace(line)
	}
	if file, ok := w.stdin.(interface{ Fd() uintptr }); ok && o.password == "" && asks && !o.passwordStdin {
		a.report.Ask("password: ")
		text, err := term.ReadPassword(int(file.Fd()))
		a.report.Talk("")
		if err != nil {
			return fmt.Errorf("reading the password: %w", err)
		}
		o.password = string(text)
	}
	switch {
	case o.username == "":
		return errors.New("nobody is named who logs in; add --username NAME")
	case o.password == "":
		return errors.New("there is no password; pipe it in with --password-stdin")
	}
	return nil
}

// maxPassword bounds what is read as a password, in bytes: tokens are long, files are not passwords.
const maxPassword = 64 << 10

// optionalPath is path, and nothing of nothing.
func (a *app) optionalPath(name string) string {
	if name == "" {
		return ""
	}
	return a.path(name)
}

const registryLogoutHelp = `Forget the credentials of a registry of charts.

Only what otomi registry login wrote is forgotten; Helm's and Docker's files stay as they
are.

  otomi registry logout registry.example.com`

func newRegistryLogout(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "logout HOST",
		Short: "forget the credentials of a registry",
		Long:  registryLogoutHelp,
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return runRegistryLogout(a, args[0]) },
	}
}

func runRegistryLogout(a *app, host string) error {
	file := a.world.registryFile()
	if file == "" {
		return errNoRegistryFile
	}
	had, err := pipeline.Logout(file, host)
	if err != nil {
		return err
	}
	if !had {
		a.report.Talk("there were no credentials of %s", host)
		return nil
	}
	a.report.Talk("the credentials of %s are forgotten", host)
	return nil
}
