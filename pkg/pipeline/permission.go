package pipeline

import (
	"context"
	"net/netip"
	"strings"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/template"
)

// Permissions are what the user allowed a run by name, on the command line or in the settings; a repository can't. The
// zero value allows nothing: no connection, no program, no variable of the environment.
type Permissions struct {
	// Env holds the variables of the environment that templates may read, and their values. With AnyEnv they may read all,
	// and one that Env does not have is empty.
	Env    map[string]string
	AnyEnv bool
	// Net are the hosts that may be reached: HOST, HOST:PORT or *.DOMAIN. With AnyHost all may be.
	Net     []string
	AnyHost bool
	// Fetch says that the run is there to fetch: all hosts may be reached, and none without TLS because of it.
	Fetch bool
	// Exec lets templates run programs and Hooks hooks; Environ are the variables, NAME=VALUE, that programs get. Files lets
	// files outside of the working directory be read. Decrypt is carried for what comes: nothing asks for it yet.
	Exec, Hooks, Files, Decrypt bool
	Environ                     []string
}

// Host reports whether a host may be reached, which is named HOST or HOST:PORT, without the port where that is the usual
// one. A permission without a port is for every port of the host.
func (p Permissions) Host(name string) bool {
	if p.AnyHost || p.Fetch {
		return true
	}
	name = strings.TrimSuffix(strings.ToLower(name), ":443")
	for _, allowed := range p.Net {
		allowed = strings.ToLower(allowed)
		at := name
		if bare := strings.Trim(allowed, "[]"); hostOf(allowed) == bare {
			allowed, at = bare, hostOf(name)
		}
		allowed = strings.TrimSuffix(allowed, ":443")
		if domain, ok := strings.CutPrefix(allowed, "*."); ok && strings.HasSuffix(at, "."+domain) || allowed == at {
			return at != ""
		}
	}
	return false
}

// hostOf returns a name without its port, and an IPv6 address without its brackets.
func hostOf(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return name
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, _, _ = strings.Cut(inner, "]")
		return inner
	}
	host, _, _ := strings.Cut(name, ":")
	return host
}

// RemoteOptions say how charts are fetched. What may be reached is not theirs to say: Options.Allow does.
type RemoteOptions = chart.RemoteOptions

// LoginOptions say who logs in to which registry.
type LoginOptions = chart.LoginOptions

// Login tries credentials at a registry and remembers them.
func Login(ctx context.Context, o LoginOptions) error { return chart.Login(ctx, o) }

// Logout forgets the credentials of a registry in a file, and reports whether it had any.
func Logout(file, host string) (bool, error) { return chart.Logout(file, host) }

// remote is what reaches the hosts that are allowed, as the options say; nil where none is.
func (p Permissions) remote(o RemoteOptions) *chart.Remote {
	if !p.AnyHost && !p.Fetch && len(p.Net) == 0 {
		return nil
	}
	o.Allow = p.Host
	return chart.NewRemote(o)
}

// templates are the permissions of templates among them.
func (p Permissions) templates() template.Permissions {
	return template.Permissions{Env: p.Env, AnyEnv: p.AnyEnv, Exec: p.Exec}
}
