package fakeapi

import (
	"net/http"
	"slices"
	"strings"
)

// discovery is an answer about what is served, with its own content type.
type discovery struct {
	contentType string
	body        any
}

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

var verbs = []any{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// discover answers what is served. Parts are those of the path, of which the first is api or apis.
func (s *Server) discover(r *http.Request, parts []string) (int, any) {
	core := parts[0] == "api"
	if len(parts) == 1 {
		for _, accept := range strings.Split(r.Header.Get("Accept"), ",") {
			if parameter(accept, "as") == "APIGroupDiscoveryList" {
				return http.StatusOK, discovery{aggregated, s.aggregatedList(core)}
			}
		}
		if core {
			return http.StatusOK, map[string]any{"kind": "APIVersions", "versions": []any{"v1"}, "serverAddressByClientCIDRs": []any{}}
		}
		var groups []any
		for _, g := range s.groups() {
			if g != "" {
				groups = append(groups, s.group(g))
			}
		}
		return http.StatusOK, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
	}
	group, version := "", parts[1]
	if !core {
		group = parts[1]
		if len(parts) == 2 {
			if !slices.Contains(s.groups(), group) {
				return noPath()
			}
			g := s.group(group)
			g["kind"], g["apiVersion"] = "APIGroup", "v1"
			return http.StatusOK, g
		}
		version = parts[2]
	}
	var resources []any
	for _, k := range s.of(group) {
		if slices.Contains(k.versions, version) {
			resources = append(resources, map[string]any{
				"name": k.plural, "singularName": k.singular, "namespaced": k.namespaced, "kind": k.name, "verbs": verbs,
			})
		}
	}
	if resources == nil {
		return noPath()
	}
	groupVersion := version
	if group != "" {
		groupVersion = group + "/" + version
	}
	return http.StatusOK, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": groupVersion, "resources": resources}
}

// groups are the groups that are served, in order.
func (s *Server) groups() []string {
	var groups []string
	for _, k := range s.kinds {
		if len(k.versions) > 0 && !slices.Contains(groups, k.group) {
			groups = append(groups, k.group)
		}
	}
	slices.Sort(groups)
	return groups
}

// of are the kinds of a group, in order.
func (s *Server) of(group string) []*kind {
	var kinds []*kind
	for _, k := range s.kinds {
		if k.group == group {
			kinds = append(kinds, k)
		}
	}
	slices.SortFunc(kinds, func(a, b *kind) int { return compare(a.plural, b.plural) })
	return kinds
}

// versions are those of a group, in order.
func (s *Server) versions(group string) []string {
	var versions []string
	for _, k := range s.of(group) {
		for _, v := range k.versions {
			if !slices.Contains(versions, v) {
				versions = append(versions, v)
			}
		}
	}
	return versions
}

func (s *Server) group(name string) map[string]any {
	var versions []any
	for _, v := range s.versions(name) {
		versions = append(versions, map[string]any{"groupVersion": name + "/" + v, "version": v})
	}
	return map[string]any{"name": name, "versions": versions, "preferredVersion": versions[0]}
}

// aggregatedList is all that is served under /api or /apis, in one answer.
func (s *Server) aggregatedList(core bool) map[string]any {
	var items []any
	for _, g := range s.groups() {
		if (g == "") != core {
			continue
		}
		var versions []any
		for _, v := range s.versions(g) {
			var resources []any
			for _, k := range s.of(g) {
				if !slices.Contains(k.versions, v) {
					continue
				}
				scope := "Cluster"
				if k.namespaced {
					scope = "Namespaced"
				}
				resources = append(resources, map[string]any{
					"resource": k.plural, "responseKind": map[string]any{"group": g, "version": v, "kind": k.name}, "scope": scope,
					"singularResource": k.singular, "verbs": verbs,
				})
			}
			versions = append(versions, map[string]any{"version": v, "resources": resources, "freshness": "Current"})
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": g, "creationTimestamp": nil}, "versions": versions})
	}
	return map[string]any{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": map[string]any{}, "items": items}
}
