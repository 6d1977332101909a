package cluster

import (
	"io"
	"net/url"
	"os"
	"strings"
)

// maxToken is how much of a token's file is read, in bytes.
const maxToken = 64 << 10

// Credentials returns what is secret in the kubeconfig that files make together: tokens, passwords, keys, what plugins are given
// in their environment, and the passwords of proxies. A kubeconfig that can't be read has none; connecting says why.
func Credentials(files []string) []string {
	config, err := load(files)
	if err != nil {
		return nil
	}
	var out []string
	add := func(texts ...string) {
		for _, text := range texts {
			if text = strings.TrimSpace(text); len(text) >= 4 {
				out = append(out, text)
			}
		}
	}
	for _, user := range config.AuthInfos {
		add(user.Token, user.Password, string(user.ClientKeyData), head(user.TokenFile), head(user.ClientKey))
		if user.AuthProvider != nil {
			for key, text := range user.AuthProvider.Config {
				if strings.Contains(key, "token") || strings.Contains(key, "secret") {
					add(text)
				}
			}
		}
		if user.Exec != nil {
			for _, v := range user.Exec.Env {
				if secretName(v.Name) {
					add(v.Value)
				}
			}
		}
	}
	for _, c := range config.Clusters {
		if u, err := url.Parse(c.ProxyURL); err == nil && u.User != nil {
			password, _ := u.User.Password()
			add(password)
		}
	}
	return out
}

// secretName reports whether a variable of a plugin's environment is likely a secret: a region or a profile is none.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"PASS", "SECRET", "TOKEN", "KEY", "CRED"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// head is the beginning of a file, or "" where it can't be read.
func head(name string) string {
	if name == "" {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return ""
	}
	return string(text)
}
