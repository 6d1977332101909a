package fakeapi

import (
	"encoding/base64"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// fields keeps who owns which field, by the code that the real API server uses: the kinds of client-go with their own merge
// keys, all others as if their lists were atomic.
type fields struct {
	mu       sync.Mutex
	known    managedfields.TypeConverter
	deduced  managedfields.TypeConverter
	managers map[schema.GroupVersionKind]*managedfields.FieldManager
}

func newFields() *fields {
	return &fields{
		known: applyconfigurations.NewTypeConverter(scheme.Scheme), deduced: managedfields.NewDeducedTypeConverter(),
		managers: map[schema.GroupVersionKind]*managedfields.FieldManager{},
	}
}

// manager is the one for a kind. Managers are safe for concurrent use.
func (f *fields) manager(gvk schema.GroupVersionKind) *managedfields.FieldManager {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.managers[gvk]
	if m != nil {
		return m
	}
	converter := f.deduced
	// Other libraries put more into that scheme, of which client-go has no schema.
	if scheme.Scheme.Recognizes(gvk) && gvk.Group != "apiextensions.k8s.io" {
		converter = f.known
	}
	m, err := managedfields.NewDefaultCRDFieldManager(converter, plainConverter{}, plainDefaulter{}, plainCreater{}, gvk, gvk.GroupVersion(), "", nil)
	if err != nil {
		panic(err) // with no fields to reset there is nothing that could be wrong
	}
	f.managers[gvk] = m
	return m
}

// apply merges what is applied into what is live, which is nil where the object is new.
func (f *fields) apply(gvk schema.GroupVersionKind, live, applied object, manager string, force bool) (object, error) {
	out, err := f.manager(gvk).Apply(wrapped(gvk, live), &unstructured.Unstructured{Object: clone(applied)}, manager, force)
	if err != nil {
		return nil, err
	}
	return unwrapped(out)
}

// update notes who changed what between live, which is nil where the object is new, and now.
func (f *fields) update(gvk schema.GroupVersionKind, live, now object, manager string) (object, error) {
	out, err := f.manager(gvk).Update(wrapped(gvk, live), &unstructured.Unstructured{Object: clone(now)}, manager)
	if err != nil {
		return nil, err
	}
	return unwrapped(out)
}

func wrapped(gvk schema.GroupVersionKind, o object) *unstructured.Unstructured {
	if o != nil {
		return &unstructured.Unstructured{Object: clone(o)}
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvk)
	return u
}

func unwrapped(o runtime.Object) (object, error) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("the field manager made a %T", o)
	}
	return u.Object, nil
}

// plainConverter converts between versions as a CustomResourceDefinition without a webhook does: by its apiVersion alone.
type plainConverter struct{}

func (plainConverter) Convert(_, _, _ any) error { return fmt.Errorf("no such conversion") }

func (plainConverter) ConvertToVersion(in runtime.Object, gv runtime.GroupVersioner) (runtime.Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("converting a %T", in)
	}
	gvk, ok := gv.KindForGroupVersionKinds([]schema.GroupVersionKind{u.GroupVersionKind()})
	if !ok {
		return nil, fmt.Errorf("no version for %s", u.GroupVersionKind())
	}
	out := &unstructured.Unstructured{Object: clone(u.Object)}
	out.SetGroupVersionKind(gvk)
	return out, nil
}

func (plainConverter) ConvertFieldLabel(schema.GroupVersionKind, string, string) (string, string, error) {
	return "", "", fmt.Errorf("no field labels")
}

type plainDefaulter struct{}

func (plainDefaulter) Default(runtime.Object) {}

type plainCreater struct{}

func (plainCreater) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvk)
	return u, nil
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
