package fakeapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// The limits of the real API server: on a request's body, and on what a Secret holds.
const (
	largestBody   = 3 << 20
	largestSecret = 1 << 20
)

// place is what a request is about.
type place struct {
	kind        *kind
	version     string
	namespace   string
	name        string
	subresource string
}

func (p place) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: p.kind.group, Version: p.version, Kind: p.kind.name}
}

// route answers a request.
func (s *Server) route(r *http.Request) (int, any) {
	path := strings.Trim(r.URL.Path, "/")
	switch path {
	case "version":
		return http.StatusOK, map[string]any{"major": "1", "minor": "36", "gitVersion": "v1.36.3", "platform": "fake/fake"}
	case "healthz", "livez", "readyz":
		return http.StatusOK, "ok"
	}
	parts := strings.Split(path, "/")
	var p place
	group := ""
	switch {
	case parts[0] == "api" && (len(parts) <= 2) || parts[0] == "apis" && len(parts) <= 3:
		return s.discover(r, parts)
	case parts[0] == "api":
		p.version, parts = parts[1], parts[2:]
	case parts[0] == "apis":
		group, p.version, parts = parts[1], parts[2], parts[3:]
	default:
		return noPath()
	}
	if len(parts) > 2 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		p.namespace, parts = parts[1], parts[2:]
	}
	p.kind = s.kinds[resourceName(parts[0], group)]
	if p.kind == nil || !slices.Contains(p.kind.versions, p.version) {
		return noPath()
	}
	if len(parts) > 1 {
		p.name = parts[1]
	}
	if len(parts) > 2 {
		p.subresource = parts[2]
	}
	if p.kind.namespaced && p.namespace == "" && (p.name != "" || r.Method == http.MethodPost) || !p.kind.namespaced && p.namespace != "" {
		return noPath()
	}
	switch {
	case r.Method == http.MethodGet && p.name == "":
		return s.list(r, p)
	case r.Method == http.MethodGet && p.kind.resource == "pods" && p.subresource == "log":
		if _, ok := s.objects[p.at(p.name)]; !ok {
			return notFound(p.kind, p.name)
		}
		return http.StatusOK, plain(s.logs[p.at(p.name)])
	case r.Method == http.MethodGet:
		return s.get(p)
	case r.Method == http.MethodPost && p.name == "":
		return s.create(r, p)
	case r.Method == http.MethodPut && p.name != "":
		return s.update(r, p)
	case r.Method == http.MethodPatch && p.name != "":
		return s.patch(r, p)
	case r.Method == http.MethodDelete && p.name != "":
		return s.delete(r, p)
	case r.Method == http.MethodDelete:
		return s.deleteCollection(r, p)
	}
	return http.StatusMethodNotAllowed, status(http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource", nil)
}

// shown is an object in the version that was asked for.
func (p place) shown(o object) object {
	want := p.kind.apiVersion(p.version)
	if o["apiVersion"] == want && o["kind"] == p.kind.name {
		return o
	}
	out := make(object, len(o))
	for k, v := range o {
		out[k] = v
	}
	out["apiVersion"], out["kind"] = want, p.kind.name
	return out
}

func (p place) at(name string) key {
	return key{resource: p.kind.resource, namespace: p.namespace, name: name}
}

func (s *Server) get(p place) (int, any) {
	o, ok := s.objects[p.at(p.name)]
	if !ok {
		return notFound(p.kind, p.name)
	}
	return http.StatusOK, p.shown(o)
}

// selected are the places of the objects that a list asks for.
func (s *Server) selected(r *http.Request, p place) ([]key, error) {
	query := r.URL.Query()
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	var fields []string
	if text := query.Get("fieldSelector"); text != "" {
		fields = strings.Split(text, ",")
	}
	keys := s.sorted(func(at key) bool {
		return at.resource == p.kind.resource && (p.namespace == "" || at.namespace == p.namespace)
	})
	return slices.DeleteFunc(keys, func(at key) bool {
		set := labels.Set{}
		have, _ := meta(s.objects[at])["labels"].(map[string]any)
		for k, v := range have {
			set[k], _ = v.(string)
		}
		if !selector.Matches(set) {
			return true
		}
		for _, f := range fields {
			field, value, _ := strings.Cut(f, "=")
			var have any
			switch field {
			case "metadata.name":
				have = at.name
			case "metadata.namespace":
				have = at.namespace
			default:
				have = nested(s.objects[at], strings.Split(field, ".")...)
			}
			if have != strings.TrimPrefix(value, "=") {
				return true
			}
		}
		return false
	}), nil
}

func (s *Server) list(r *http.Request, p place) (int, any) {
	if r.URL.Query().Get("watch") != "" {
		return http.StatusMethodNotAllowed, status(http.StatusMethodNotAllowed, "MethodNotAllowed", "the fake API server knows no watches", nil)
	}
	keys, err := s.selected(r, p)
	if err != nil {
		return badRequest(err.Error())
	}
	md := map[string]any{"resourceVersion": strconv.FormatInt(s.revision, 10)}
	query := r.URL.Query()
	start, _ := strconv.Atoi(query.Get("continue"))
	keys = keys[min(start, len(keys)):]
	if limit, _ := strconv.Atoi(query.Get("limit")); limit > 0 && limit < len(keys) {
		md["continue"], md["remainingItemCount"] = strconv.Itoa(start+limit), int64(len(keys)-limit)
		keys = keys[:limit]
	}
	items := make([]any, len(keys))
	for i, at := range keys {
		item := p.shown(s.objects[at])
		if scheme.Scheme.Recognizes(p.gvk()) {
			// As the real one: the items of built-in kinds don't say what they are.
			item = maps.Clone(item)
			delete(item, "apiVersion")
			delete(item, "kind")
		}
		items[i] = item
	}
	return http.StatusOK, map[string]any{"apiVersion": p.kind.apiVersion(p.version), "kind": p.kind.name + "List", "metadata": md, "items": items}
}

// body reads an object, or what else was sent.
func body(r *http.Request) (any, int, any) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, largestBody+1))
	if err != nil {
		code, answer := badRequest(err.Error())
		return nil, code, answer
	}
	if len(raw) > largestBody {
		return nil, http.StatusRequestEntityTooLarge, status(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge",
			fmt.Sprintf("Request entity too large: limit is %d", largestBody), nil)
	}
	if len(raw) == 0 {
		return nil, 0, nil
	}
	if bytes.HasPrefix(raw, []byte("k8s\x00")) {
		if raw, err = fromProtobuf(raw); err != nil {
			code, answer := badRequest(err.Error())
			return nil, code, answer
		}
	}
	if raw[0] != '{' && raw[0] != '[' {
		if raw, err = utilyaml.ToJSON(raw); err != nil {
			code, answer := badRequest(err.Error())
			return nil, code, answer
		}
	}
	var v any
	if err := utiljson.Unmarshal(raw, &v); err != nil {
		code, answer := badRequest(err.Error())
		return nil, code, answer
	}
	return v, 0, nil
}

// sent reads an object, and brings it to its place.
func sent(r *http.Request, p place) (object, int, any) {
	v, code, answer := body(r)
	if code != 0 {
		return nil, code, answer
	}
	o, ok := v.(map[string]any)
	if !ok {
		code, answer = badRequest("the body is no object")
		return nil, code, answer
	}
	if o["apiVersion"] == nil && o["kind"] == nil {
		// The typed clients leave them out.
		o["apiVersion"], o["kind"] = p.kind.apiVersion(p.version), p.kind.name
	}
	if o["apiVersion"] != p.kind.apiVersion(p.version) || o["kind"] != p.kind.name {
		code, answer = badRequest(fmt.Sprintf("the object is a %v of %v, and the address says %s of %s", o["kind"], o["apiVersion"], p.kind.name, p.version))
		return nil, code, answer
	}
	md := meta(o)
	if p.kind.namespaced {
		if have := namespaceOf(o); have != "" && have != p.namespace {
			code, answer = badRequest("the namespace of the provided object does not match the namespace sent on the request")
			return nil, code, answer
		}
		md["namespace"] = p.namespace
	} else {
		delete(md, "namespace")
	}
	if p.name != "" {
		if have := nameOf(o); have != "" && have != p.name {
			code, answer = badRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", have, p.name))
			return nil, code, answer
		}
		md["name"] = p.name
	}
	if md["creationTimestamp"] == nil {
		delete(md, "creationTimestamp")
	}
	return o, 0, nil
}

// manager is who writes.
func manager(r *http.Request) string {
	if m := r.URL.Query().Get("fieldManager"); m != "" {
		return m
	}
	m, _, _ := strings.Cut(r.UserAgent(), "/")
	return m
}

func dryRun(r *http.Request) bool { return r.URL.Query().Get("dryRun") == "All" }

func (s *Server) create(r *http.Request, p place) (int, any) {
	o, code, answer := sent(r, p)
	if code != 0 {
		return code, answer
	}
	md := meta(o)
	if nameOf(o) == "" {
		prefix, _ := md["generateName"].(string)
		if prefix == "" {
			return invalid(p.kind, "", "metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
		}
		md["name"] = prefix + uid()[:5]
	}
	if md["resourceVersion"] != nil && md["resourceVersion"] != "" {
		return badRequest("resourceVersion should not be set on objects to be created")
	}
	delete(md, "resourceVersion")
	return s.store(r, p, nil, o, func(o object) (object, error) {
		delete(meta(o), "managedFields")
		return s.fields.update(p.gvk(), nil, o, manager(r))
	}, http.StatusCreated)
}

func (s *Server) update(r *http.Request, p place) (int, any) {
	o, code, answer := sent(r, p)
	if code != 0 {
		return code, answer
	}
	old, ok := s.objects[p.at(p.name)]
	if !ok {
		return notFound(p.kind, p.name)
	}
	return s.replace(r, p, old, o)
}

// replace writes what an update or a patch made of an object.
func (s *Server) replace(r *http.Request, p place, old, o object) (int, any) {
	md := meta(o)
	if v, _ := md["resourceVersion"].(string); v != "" && v != meta(old)["resourceVersion"] {
		return modified(p.kind, p.name)
	}
	if v, _ := md["uid"].(string); v != "" && v != meta(old)["uid"] {
		return conflict(p.kind, p.name, fmt.Sprintf("Precondition failed: UID in precondition: %s, UID in object meta: %v", v, meta(old)["uid"]))
	}
	if p.kind.resource == "namespaces" && p.subresource == "finalize" {
		return http.StatusOK, p.shown(old)
	}
	if p.subresource != "" && p.subresource != "status" {
		return noPath()
	}
	return s.store(r, p, old, o, func(o object) (object, error) {
		return s.fields.update(p.gvk(), p.shown(old), o, manager(r))
	}, http.StatusOK)
}

// store checks and writes an object, unless nothing changes or it is a dry-run.
func (s *Server) store(r *http.Request, p place, old, o object, own func(object) (object, error), code int) (int, any) {
	name := nameOf(o)
	if old == nil {
		if have, ok := s.objects[p.at(name)]; ok {
			message := fmt.Sprintf("%s %q already exists", p.kind.resource, name)
			if meta(have)["deletionTimestamp"] != nil {
				message = "object is being deleted: " + message
			}
			return http.StatusConflict, status(http.StatusConflict, "AlreadyExists", message, p.kind.details(name))
		}
		if p.kind.namespaced {
			ns, ok := s.objects[key{resource: "namespaces", name: p.namespace}]
			if !ok {
				return notFound(s.kinds["namespaces"], p.namespace)
			}
			if meta(ns)["deletionTimestamp"] != nil {
				details := p.kind.details(name)
				details["causes"] = []any{map[string]any{"reason": "NamespaceTerminating",
					"message": fmt.Sprintf("namespace %s is being terminated", p.namespace), "field": "metadata.namespace"}}
				return http.StatusForbidden, status(http.StatusForbidden, "Forbidden", fmt.Sprintf(
					"%s %q is forbidden: unable to create new content in namespace %s because it is being terminated", p.kind.resource, name, p.namespace), details)
			}
		}
	}
	if s.admit != nil {
		verb := "update"
		if old == nil {
			verb = "create"
		}
		admitted, refusal := s.admit(verb, clone(o))
		if refusal != nil {
			return refusal.Code, status(refusal.Code, refusal.Reason, refusal.Message, p.kind.details(name))
		}
		o = admitted
	}
	o, err := own(o)
	if err != nil {
		return failed(err)
	}
	if code, answer := s.validate(p, old, o); code != 0 {
		return code, answer
	}
	revision, objects := s.revision, s.objects
	if old != nil {
		same := s.finished(p.kind, old, clone(o))
		if sameBut(old, same) {
			return http.StatusOK, p.shown(old)
		}
	}
	if dryRun(r) {
		kinds := s.kinds
		s.objects, s.kinds = map[key]object{}, map[string]*kind{}
		out := s.put(p.kind, old, clone(o))
		s.objects, s.kinds, s.revision = objects, kinds, revision
		if old != nil {
			meta(out)["resourceVersion"] = meta(old)["resourceVersion"]
		} else {
			delete(meta(out), "resourceVersion")
		}
		return code, p.shown(out)
	}
	out := s.put(p.kind, old, clone(o))
	if finalizers, _ := meta(out)["finalizers"].([]any); meta(out)["deletionTimestamp"] != nil && len(finalizers) == 0 && p.kind.resource != "namespaces" {
		s.remove(p.kind, out)
	}
	return code, p.shown(out)
}

// validate knows some of the rules of the real one: names, what may not change, and how large a Secret may be.
func (s *Server) validate(p place, old, o object) (int, any) {
	name := nameOf(o)
	if name != strings.ToLower(name) || strings.ContainsAny(name, " _/") {
		return invalid(p.kind, name, "metadata.name", "FieldValueInvalid", fmt.Sprintf("Invalid value: %q: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters", name))
	}
	if p.kind.resource == "secrets" {
		size := 0
		data, _ := o["data"].(map[string]any)
		for _, v := range data {
			text, _ := v.(string)
			size += len(text)/4*3 - strings.Count(text, "=")
		}
		plain, _ := o["stringData"].(map[string]any)
		for _, v := range plain {
			text, _ := v.(string)
			size += len(text)
		}
		if size > largestSecret {
			return invalid(p.kind, name, "data", "FieldValueTooLong", fmt.Sprintf("Too long: may not be more than %d bytes", largestSecret))
		}
		if old != nil && old["type"] != o["type"] && o["type"] != nil {
			return invalid(p.kind, name, "type", "FieldValueInvalid", fmt.Sprintf("Invalid value: %q: field is immutable", o["type"]))
		}
	}
	if old == nil {
		return 0, nil
	}
	if old["immutable"] == true && !equal(old["data"], o["data"]) {
		return invalid(p.kind, name, "data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")
	}
	fixed := map[string][]string{
		"jobs.batch": {"template", "selector"}, "deployments.apps": {"selector"}, "statefulsets.apps": {"selector", "serviceName"},
		"services": {"clusterIP"},
	}
	for _, field := range fixed[p.kind.resource] {
		was, is := nested(old, "spec", field), nested(o, "spec", field)
		if was != nil && (is != nil || field != "clusterIP") && !equal(was, is) {
			return invalid(p.kind, name, "spec."+field, "FieldValueInvalid", fmt.Sprintf("Invalid value: %v: field is immutable", is))
		}
	}
	if p.kind.resource == "rolebindings.rbac.authorization.k8s.io" && !equal(old["roleRef"], o["roleRef"]) {
		return invalid(p.kind, name, "roleRef", "FieldValueInvalid", "Invalid value: cannot change roleRef")
	}
	return 0, nil
}

// patch changes an object by one of the four forms of a patch.
func (s *Server) patch(r *http.Request, p place) (int, any) {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	old, found := s.objects[p.at(p.name)]
	if contentType == "application/apply-patch+yaml" || contentType == "application/apply-patch+cbor" {
		return s.applied(r, p, old)
	}
	if !found {
		return notFound(p.kind, p.name)
	}
	v, code, answer := body(r)
	if code != 0 {
		return code, answer
	}
	now := clone(p.shown(old))
	switch contentType {
	case "application/json-patch+json":
		ops, ok := v.([]any)
		if !ok {
			return badRequest("a JSON patch is a list")
		}
		var err error
		if now, err = jsonPatch(now, ops); err != nil {
			return invalid(p.kind, p.name, "patch", "FieldValueInvalid", err.Error())
		}
	case "application/merge-patch+json", "application/strategic-merge-patch+json":
		change, ok := v.(map[string]any)
		if !ok {
			return badRequest("a merge patch is an object")
		}
		now = mergePatch(now, change)
	default:
		return http.StatusUnsupportedMediaType, status(http.StatusUnsupportedMediaType, "UnsupportedMediaType",
			"the body of the request was in an unknown format: "+contentType, nil)
	}
	return s.replace(r, p, old, now)
}

// applied is a server-side apply.
func (s *Server) applied(r *http.Request, p place, old object) (int, any) {
	query := r.URL.Query()
	if query.Get("fieldManager") == "" {
		return http.StatusUnprocessableEntity, status(http.StatusUnprocessableEntity, "Invalid",
			"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch", nil)
	}
	o, code, answer := sent(r, p)
	if code != 0 {
		return code, answer
	}
	if meta(o)["managedFields"] != nil {
		return badRequest("metadata.managedFields must be nil")
	}
	name := p.name
	// Of an object that is not there the resource version is not looked at: the apply makes it. Its UID is.
	if v, _ := meta(o)["resourceVersion"].(string); v != "" && old != nil && v != meta(old)["resourceVersion"] {
		return modified(p.kind, name)
	}
	if v, _ := meta(o)["uid"].(string); v != "" && old == nil {
		return conflict(p.kind, name, fmt.Sprintf("Precondition failed: UID in precondition: %s, UID in object meta: ", v))
	} else if v != "" && v != meta(old)["uid"] {
		return invalid(p.kind, name, "metadata.uid", "FieldValueInvalid", fmt.Sprintf("Invalid value: %q: field is immutable", v))
	}
	code = http.StatusOK
	var live object
	if old == nil {
		code = http.StatusCreated
	} else {
		live = p.shown(old)
	}
	force := query.Get("force") == "true"
	return s.store(r, p, old, o, func(o object) (object, error) {
		md := meta(o)
		for _, field := range []string{"resourceVersion", "uid", "creationTimestamp"} {
			delete(md, field)
		}
		out, err := s.fields.apply(p.gvk(), live, o, query.Get("fieldManager"), force)
		if err == nil && old == nil {
			meta(out)["name"] = p.name
		}
		return out, err
	}, code)
}

func (s *Server) delete(r *http.Request, p place) (int, any) {
	v, code, answer := body(r)
	if code != 0 {
		return code, answer
	}
	options, _ := v.(map[string]any)
	o, ok := s.objects[p.at(p.name)]
	if !ok {
		return notFound(p.kind, p.name)
	}
	for _, field := range []string{"uid", "resourceVersion"} {
		if want, _ := nested(options, "preconditions", field).(string); want != "" && want != meta(o)[field] {
			return conflict(p.kind, p.name, fmt.Sprintf("Precondition failed: %s in precondition: %s, in object meta: %v", field, want, meta(o)[field]))
		}
	}
	if s.admit != nil {
		if _, refusal := s.admit("delete", clone(o)); refusal != nil {
			return refusal.Code, status(refusal.Code, refusal.Reason, refusal.Message, p.kind.details(p.name))
		}
	}
	if dryRun(r) {
		return http.StatusOK, p.shown(o)
	}
	if left := s.deleted(p.kind, o); left != nil {
		return http.StatusOK, p.shown(left)
	}
	return http.StatusOK, map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Success",
		"details": map[string]any{"name": p.name, "group": p.kind.group, "kind": p.kind.plural, "uid": meta(o)["uid"]},
	}
}

func (s *Server) deleteCollection(r *http.Request, p place) (int, any) {
	keys, err := s.selected(r, p)
	if err != nil {
		return badRequest(err.Error())
	}
	for _, at := range keys {
		if o, ok := s.objects[at]; ok {
			s.deleted(p.kind, o)
		}
	}
	return http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Success"}
}

// mergePatch is RFC 7396.
func mergePatch(o, change map[string]any) map[string]any {
	for k, v := range change {
		switch v := v.(type) {
		case nil:
			delete(o, k)
		case map[string]any:
			inner, _ := o[k].(map[string]any)
			if inner == nil {
				inner = map[string]any{}
			}
			o[k] = mergePatch(inner, v)
		default:
			o[k] = v
		}
	}
	return o
}

// jsonPatch is as much of RFC 6902 as clients of Kubernetes use: test, add, replace, remove.
func jsonPatch(o object, ops []any) (object, error) {
	var root any = o
	for _, v := range ops {
		op, _ := v.(map[string]any)
		path, _ := op["path"].(string)
		var steps []string
		if path != "" {
			steps = strings.Split(strings.TrimPrefix(path, "/"), "/")
		}
		for i, step := range steps {
			steps[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		}
		name, _ := op["op"].(string)
		var err error
		if root, err = changed(root, steps, name, op["value"]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", name, path, err)
		}
	}
	out, ok := root.(map[string]any)
	if !ok {
		return nil, errors.New("the patch leaves no object")
	}
	return out, nil
}

// changed carries out one operation of a JSON patch, and returns the value as it is then.
func changed(at any, steps []string, op string, value any) (any, error) {
	if len(steps) == 0 {
		switch op {
		case "test":
			a, _ := json.Marshal(at)
			b, _ := json.Marshal(value)
			if string(a) != string(b) {
				return nil, errors.New("the test failed")
			}
			return at, nil
		case "add", "replace":
			return value, nil
		}
		return nil, errors.New("it can't be done to the whole")
	}
	step, rest := steps[0], steps[1:]
	switch at := at.(type) {
	case map[string]any:
		inner, ok := at[step]
		switch {
		case len(rest) == 0 && op == "remove":
			if !ok {
				return nil, errors.New("there is nothing")
			}
			delete(at, step)
			return at, nil
		case !ok && (len(rest) > 0 || op != "add"):
			return nil, errors.New("there is nothing")
		}
		next, err := changed(inner, rest, op, value)
		if err != nil {
			return nil, err
		}
		at[step] = next
		return at, nil
	case []any:
		if step == "-" && op == "add" && len(rest) == 0 {
			return append(at, value), nil
		}
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i > len(at) || i == len(at) && (op != "add" || len(rest) > 0) {
			return nil, errors.New("there is no such item")
		}
		switch {
		case len(rest) == 0 && op == "remove":
			return slices.Delete(at, i, i+1), nil
		case len(rest) == 0 && op == "add":
			return slices.Insert(at, i, value), nil
		}
		next, err := changed(at[i], rest, op, value)
		if err != nil {
			return nil, err
		}
		at[i] = next
		return at, nil
	}
	return nil, errors.New("there is nothing below it")
}
