// Package fakeapi is an API server of Kubernetes that lives in a test: enough of one that otomi, and helm, can't tell it from a
// real one in what they ask, small enough that thousands of clusters fit into a minute.
//
// It serves discovery, the verbs of objects with resource versions, UIDs, generations and finalizers, server-side apply with
// managed fields (by the library that the real one uses), dry-runs, patches, selectors, paging, namespaces that go with what is in
// them and CustomResourceDefinitions that become kinds. What controllers do happens at once: a Deployment is available and a Job
// complete as soon as they are written, unless a test says how they end and what their Pods wrote. It knows no admission but what
// a test hands it, no validation beyond a few rules (see validate.go), no watches, and no users.
//
// The contract test of package faults holds for it and for the real one.
package fakeapi

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// object is an object as it is stored. It is never changed, only replaced: a snapshot is a copy of the map that holds it.
type object = map[string]any

// key is where an object is stored.
type key struct {
	// resource is PLURAL.GROUP, or PLURAL.
	resource  string
	namespace string
	name      string
}

// Admission is asked before an object is written, dry-runs included. It returns the object, changed or not, or why it is refused.
type Admission func(verb string, object map[string]any) (map[string]any, *Refusal)

// Refusal is how an Admission says no.
type Refusal struct {
	Code    int
	Reason  string
	Message string
}

// End says how a Job, or a Pod that is no Job's, ends, and what its container writes until then.
type End func(object map[string]any) (failed bool, log string)

// Server is an API server. The zero value is of no use: call New.
type Server struct {
	mu       sync.Mutex
	kinds    map[string]*kind // by resource
	objects  map[key]object
	revision int64
	fields   *fields
	admit    Admission
	token    func(string) bool
	end      End
	logs     map[key]string
}

// Snapshot is all that a server holds at one time.
type Snapshot struct {
	objects  map[key]object
	revision int64
}

// New makes an empty server: it has the namespaces default and kube-system.
func New() *Server {
	// The first revisions are those of a store without objects, as in etcd.
	s := &Server{kinds: builtin(), objects: map[key]object{}, fields: newFields(), revision: 100, logs: map[key]string{}}
	for _, name := range []string{"default", "kube-system"} {
		s.put(s.kinds["namespaces"], nil, object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
	}
	return s
}

// Fork makes a server that holds what this one holds.
func (s *Server) Fork() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &Server{kinds: map[string]*kind{}, objects: maps.Clone(s.objects), revision: s.revision, fields: s.fields, admit: s.admit, token: s.token,
		end: s.end, logs: maps.Clone(s.logs)}
	maps.Copy(f.kinds, s.kinds)
	return f
}

// Admit sets who is asked before something is written; nil for nobody.
func (s *Server) Admit(a Admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit = a
}

// Tokens sets who says whether a bearer token is good; nil lets everybody in.
func (s *Server) Tokens(good func(token string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = good
}

// Ends sets who says how Jobs and Pods end; nil for Jobs that are complete, without a Pod, and Pods that run.
func (s *Server) Ends(e End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = e
}

// Revision is the resource version of the newest write.
func (s *Server) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

// Objects returns how many objects there are.
func (s *Server) Objects() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.objects)
}

// put stores an object that is new or replaces old. It returns it as stored: with resource version, UID, generation and what
// controllers make of it. The caller holds the lock.
func (s *Server) put(k *kind, old, o object) object {
	s.revision++
	o = s.finished(k, old, o)
	meta(o)["resourceVersion"] = strconv.FormatInt(s.revision, 10)
	s.ended(k, old, o)
	s.objects[k.key(o)] = o
	if k.resource == "customresourcedefinitions.apiextensions.k8s.io" {
		s.define(o)
	}
	return o
}

// ended gives a Job or a Pod the end that it was set to have, and a new Job its Pod.
func (s *Server) ended(k *kind, old, o object) {
	if s.end == nil || meta(o)["deletionTimestamp"] != nil {
		return
	}
	switch k.resource {
	case "jobs.batch":
		failed, log := s.end(o)
		if failed {
			o["status"] = map[string]any{"failed": int64(1), "conditions": []any{map[string]any{
				"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit",
			}}}
		}
		if old != nil {
			return
		}
		pod := object{
			"apiVersion": "v1", "kind": "Pod", "spec": clone(nested(o, "spec", "template", "spec")),
			"metadata": map[string]any{
				"name": nameOf(o) + "-1", "namespace": namespaceOf(o), "labels": map[string]any{"job-name": nameOf(o)},
				"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": nameOf(o), "uid": meta(o)["uid"]}},
			},
		}
		pods := s.kinds["pods"]
		s.logs[pods.key(pod)] = log
		s.put(pods, nil, pod)
	case "pods":
		if meta(o)["ownerReferences"] != nil {
			return
		}
		failed, log := s.end(o)
		s.logs[k.key(o)] = log
		phase := "Succeeded"
		if failed {
			phase = "Failed"
		}
		o["status"] = map[string]any{"phase": phase}
	}
}

// finished is an object with what the server and its controllers add to it.
func (s *Server) finished(k *kind, old, o object) object {
	md := meta(o)
	delete(md, "selfLink")
	if old == nil {
		md["uid"] = uid()
		md["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
		delete(md, "deletionTimestamp")
		delete(md, "generation")
	} else {
		for _, field := range []string{"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"} {
			copied(md, meta(old), field)
		}
	}
	defaulted(k, o)
	if _, ok := o["spec"]; ok {
		generation := int64(1)
		if old != nil {
			generation, _ = meta(old)["generation"].(int64)
			// Of a Deployment its annotations count, too: its controller reads them.
			if !equal(old["spec"], o["spec"]) || k.resource == "deployments.apps" && !equal(meta(old)["annotations"], md["annotations"]) {
				generation++
			}
		}
		md["generation"] = generation
	}
	controlled(k, o)
	return o
}

func copied(to, from map[string]any, field string) {
	if v, ok := from[field]; ok {
		to[field] = v
	} else {
		delete(to, field)
	}
}

// remove deletes an object for good, and what went with it. The caller holds the lock.
func (s *Server) remove(k *kind, o object) {
	s.revision++
	delete(s.objects, k.key(o))
	if k.resource == "customresourcedefinitions.apiextensions.k8s.io" {
		s.undefine(o)
	}
	if namespace := namespaceOf(o); namespace != "" {
		s.settleNamespace(namespace)
	}
}

// settleNamespace ends a namespace that is being deleted and holds nothing any more.
func (s *Server) settleNamespace(name string) {
	k := s.kinds["namespaces"]
	ns, ok := s.objects[key{resource: "namespaces", name: name}]
	if !ok || meta(ns)["deletionTimestamp"] == nil {
		return
	}
	for at := range s.objects {
		if at.namespace == name {
			return
		}
	}
	delete(s.objects, k.key(ns))
	s.revision++
}

// deleted begins to delete an object: at once, or where finalizers hold it by marking it.
func (s *Server) deleted(k *kind, o object) (left object) {
	finalizers, _ := meta(o)["finalizers"].([]any)
	if k.resource == "namespaces" {
		marked := s.mark(k, o)
		name := nameOf(o)
		for _, at := range s.sorted(func(at key) bool { return at.namespace == name }) {
			if inner, ok := s.objects[at]; ok {
				s.deleted(s.kinds[at.resource], inner)
			}
		}
		s.settleNamespace(name)
		return marked
	}
	if len(finalizers) > 0 {
		return s.mark(k, o)
	}
	s.remove(k, o)
	// What it owns goes in the background, which is now.
	for _, at := range s.sorted(func(key) bool { return true }) {
		inner, ok := s.objects[at]
		if !ok {
			continue
		}
		owners, _ := meta(inner)["ownerReferences"].([]any)
		if slices.ContainsFunc(owners, func(v any) bool {
			owner, _ := v.(map[string]any)
			return owner["uid"] == meta(o)["uid"]
		}) {
			s.deleted(s.kinds[at.resource], inner)
		}
	}
	return nil
}

// mark gives an object its time of deletion.
func (s *Server) mark(k *kind, o object) object {
	if meta(o)["deletionTimestamp"] != nil {
		return o
	}
	marked := clone(o)
	s.revision++
	md := meta(marked)
	md["deletionTimestamp"] = time.Now().UTC().Format(time.RFC3339)
	md["resourceVersion"] = strconv.FormatInt(s.revision, 10)
	if k.resource == "namespaces" {
		marked["status"] = map[string]any{"phase": "Terminating"}
	}
	s.objects[k.key(o)] = marked
	return marked
}

// sorted are the places of the objects that match, in order.
func (s *Server) sorted(match func(key) bool) []key {
	var keys []key
	for at := range s.objects {
		if match(at) {
			keys = append(keys, at)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.resource != b.resource:
			return compare(a.resource, b.resource)
		case a.namespace != b.namespace:
			return compare(a.namespace, b.namespace)
		}
		return compare(a.name, b.name)
	})
	return keys
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read and written without the lock: a caller that was stopped half-way must not stop the others.
	sent, err := io.ReadAll(io.LimitReader(r.Body, largestBody+1))
	if err != nil {
		return // the caller is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	code, body := s.answer(r)
	write(w, r, code, body)
}

func (s *Server) answer(r *http.Request) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != nil && !s.token(bearer(r)) {
		return http.StatusUnauthorized, status(http.StatusUnauthorized, "Unauthorized", "Unauthorized", nil)
	}
	return s.route(r)
}

func bearer(r *http.Request) string {
	const prefix = "Bearer "
	h := r.Header.Get("Authorization")
	if len(h) < len(prefix) {
		return ""
	}
	return h[len(prefix):]
}

// uid is a new UID.
func uid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}
