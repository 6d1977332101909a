package fakeapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// metadataScheme knows the metadata of objects, which is all that is ever sent as protobuf.
var metadataScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, metav1.SchemeGroupVersion)
	if err := metav1.AddMetaToScheme(s); err != nil {
		panic(err) // types of one package
	}
	return s
}()

// plain is an answer that is no JSON.
type plain string

// write sends an answer in the form that was asked for: the first of Accept that is had.
func write(w http.ResponseWriter, r *http.Request, code int, body any) {
	if o, ok := body.(map[string]any); ok && code < 300 {
		for _, accept := range strings.Split(r.Header.Get("Accept"), ",") {
			kind := parameter(accept, "as")
			if strings.TrimSpace(accept) == "application/vnd.kubernetes.protobuf" {
				if raw, err := toProtobuf(o); err == nil {
					w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
					w.WriteHeader(code)
					_, _ = w.Write(raw) // the caller is gone
					return
				}
				continue
			}
			if kind != "PartialObjectMetadata" && kind != "PartialObjectMetadataList" {
				break
			}
			partial, err := partialOf(o, kind)
			if err != nil {
				code, body = failed(err)
				break
			}
			if strings.HasPrefix(strings.TrimSpace(accept), "application/vnd.kubernetes.protobuf") {
				w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
				w.WriteHeader(code)
				_ = protobuf.NewSerializer(metadataScheme, metadataScheme).Encode(partial, w) // the caller is gone
				return
			}
			body = partial
			break
		}
	}
	if text, ok := body.(plain); ok {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text)) // the caller is gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if d, ok := body.(discovery); ok {
		w.Header().Set("Content-Type", d.contentType)
		body = d.body
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone
}

// known reads and writes the kinds of client-go as protobuf, which its typed clients send.
var known = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

func fromProtobuf(raw []byte) ([]byte, error) {
	o, gvk, err := known.Decode(raw, nil, nil)
	if err != nil {
		return nil, err
	}
	if o.GetObjectKind().GroupVersionKind().Empty() {
		o.GetObjectKind().SetGroupVersionKind(*gvk)
	}
	return json.Marshal(o)
}

// toProtobuf fails where client-go does not know the kind.
func toProtobuf(o object) ([]byte, error) {
	gv, err := schema.ParseGroupVersion(fmt.Sprint(o["apiVersion"]))
	if err != nil {
		return nil, err
	}
	typed, err := scheme.Scheme.New(gv.WithKind(fmt.Sprint(o["kind"])))
	if err != nil {
		return nil, err
	}
	if err := convert(o, typed); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = known.Encode(typed, &b)
	return b.Bytes(), err
}

// parameter is one of a media type's parameters.
func parameter(accept, name string) string {
	for _, part := range strings.Split(accept, ";")[1:] {
		if k, v, _ := strings.Cut(strings.TrimSpace(part), "="); k == name {
			return v
		}
	}
	return ""
}

// partialOf is the metadata of an object or of a list of them.
func partialOf(o object, kind string) (runtime.Object, error) {
	if kind == "PartialObjectMetadata" {
		one := &metav1.PartialObjectMetadata{}
		err := convert(map[string]any{"metadata": o["metadata"]}, one)
		one.TypeMeta = metav1.TypeMeta{Kind: kind, APIVersion: "meta.k8s.io/v1"}
		return one, err
	}
	items, _ := o["items"].([]any)
	thin := make([]any, len(items))
	for i, item := range items {
		thin[i] = map[string]any{"metadata": item.(map[string]any)["metadata"]}
	}
	list := &metav1.PartialObjectMetadataList{}
	err := convert(map[string]any{"metadata": o["metadata"], "items": thin}, list)
	for i := range list.Items {
		list.Items[i].TypeMeta = metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"}
	}
	list.TypeMeta = metav1.TypeMeta{Kind: kind, APIVersion: "meta.k8s.io/v1"}
	return list, err
}

func convert(from, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// status is the answer to a request that was not carried out.
func status(code int, reason, message string, details map[string]any) map[string]any {
	s := map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "message": message, "reason": reason,
		"code": code,
	}
	if details != nil {
		s["details"] = details
	}
	return s
}

// failed is the answer to an error, of the field manager for one.
func failed(err error) (int, any) {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		st := s.Status()
		return int(st.Code), &st
	}
	// As the real one: what does not fit the schema of its kind is an internal error.
	return http.StatusInternalServerError, status(http.StatusInternalServerError, "InternalError",
		"Internal error occurred: "+err.Error(), nil)
}

func (k *kind) details(name string) map[string]any {
	return map[string]any{"name": name, "group": k.group, "kind": k.plural}
}

func notFound(k *kind, name string) (int, any) {
	return http.StatusNotFound, status(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %q not found", k.resource, name), k.details(name))
}

func noPath() (int, any) {
	return http.StatusNotFound, status(http.StatusNotFound, "NotFound", "the server could not find the requested resource", map[string]any{})
}

func conflict(k *kind, name, message string) (int, any) {
	return http.StatusConflict, status(http.StatusConflict, "Conflict",
		fmt.Sprintf("Operation cannot be fulfilled on %s %q: %s", k.resource, name, message), k.details(name))
}

func modified(k *kind, name string) (int, any) {
	return conflict(k, name, "the object has been modified; please apply your changes to the latest version and try again")
}

func badRequest(message string) (int, any) {
	return http.StatusBadRequest, status(http.StatusBadRequest, "BadRequest", message, nil)
}

// invalid is the answer to an object that breaks a rule.
func invalid(k *kind, name, field, reason, message string) (int, any) {
	details := k.details(name)
	details["kind"] = k.name
	details["causes"] = []any{map[string]any{"reason": reason, "message": message, "field": field}}
	return http.StatusUnprocessableEntity, status(http.StatusUnprocessableEntity, "Invalid",
		fmt.Sprintf("%s %q is invalid: %s: %s", k.name+"."+k.group, name, field, message), details)
}
