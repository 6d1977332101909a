// Package oracle says whether a cluster is what it should be. It reads the API server by plain HTTP, decodes Helm's records
// itself, and knows nothing of how otomi compares or applies: what it finds is compared with what package stack says.
package oracle

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redkubes/otomi/faults/stack"
)

// Oracle judges one cluster.
type Oracle struct {
	// Server is the address of the API server, without a fault between; Client reaches it.
	Server string
	Client *http.Client
}

// Judge compares the cluster with a stack, and returns what is wrong, in sentences. The error is of the reading.
func (o Oracle) Judge(ctx context.Context, s stack.Stack) ([]string, error) {
	var wrong []string
	live, err := o.live(ctx, s)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, w := range s.Wanted() {
		id := identity(w.Data)
		wanted[id] = true
		have, ok := live[id]
		if !ok {
			wrong = append(wrong, id+" is not there")
			continue
		}
		md, _ := have["metadata"].(map[string]any)
		if md["deletionTimestamp"] != nil {
			wrong = append(wrong, id+" is being deleted")
		}
		for _, d := range differences(w.Data, have, "") {
			wrong = append(wrong, id+": "+d)
		}
		if w.Name != "" {
			wrong = append(wrong, unowned(id, md, w)...)
		}
	}
	for id := range live {
		if !wanted[id] {
			wrong = append(wrong, id+" is left over")
		}
	}
	records, err := o.records(ctx, s)
	if err != nil {
		return nil, err
	}
	wrong = append(wrong, misrecorded(records, s.Deployed())...)
	slices.Sort(wrong)
	return wrong, nil
}

// Empty reports what of the stack's is in the cluster, where nothing should be but what Helm leaves, too: namespaces, definitions
// and the objects of hooks.
func (o Oracle) Empty(ctx context.Context, s stack.Stack) ([]string, error) {
	live, err := o.live(ctx, s)
	if err != nil {
		return nil, err
	}
	var wrong []string
	for id := range live {
		if !strings.HasPrefix(id, "Namespace ") && !strings.HasPrefix(id, "CustomResourceDefinition ") && !strings.HasSuffix(id, "-post") {
			wrong = append(wrong, id+" is left over")
		}
	}
	records, err := o.records(ctx, s)
	for key := range records {
		wrong = append(wrong, "release "+key+" has records")
	}
	slices.Sort(wrong)
	return wrong, err
}

// identity names an object: "ConfigMap even/r00".
func identity(o map[string]any) string {
	md, _ := o["metadata"].(map[string]any)
	name, _ := md["name"].(string)
	if namespace, _ := md["namespace"].(string); namespace != "" {
		name = namespace + "/" + name
	}
	return fmt.Sprintf("%v %s", o["kind"], name)
}

// live reads all that the stack could have made.
func (o Oracle) live(ctx context.Context, s stack.Stack) (map[string]map[string]any, error) {
	all := map[string]map[string]any{}
	add := func(path, kind string, match func(name string, o map[string]any) bool) error {
		items, err := o.list(ctx, path)
		if err != nil {
			return err
		}
		for _, item := range items {
			md, _ := item["metadata"].(map[string]any)
			name, _ := md["name"].(string)
			if match(name, item) {
				// Lists say once for all what their items are.
				item["kind"], item["apiVersion"] = kind, apiVersion(path)
				all[identity(item)] = item
			}
		}
		return nil
	}
	for _, namespace := range s.Namespaces() {
		for _, k := range []struct{ path, kind string }{
			{"/api/v1/namespaces/%s/configmaps", "ConfigMap"},
			{"/api/v1/namespaces/%s/secrets", "Secret"},
			{"/api/v1/namespaces/%s/services", "Service"},
			{"/api/v1/namespaces/%s/serviceaccounts", "ServiceAccount"},
			{"/apis/apps/v1/namespaces/%s/deployments", "Deployment"},
			{"/apis/batch/v1/namespaces/%s/jobs", "Job"},
			{"/apis/" + s.Group() + "/v1/namespaces/%s/widgets", "Widget"},
			{"/apis/" + s.Group() + "/v1/namespaces/%s/gadgets", "Gadget"},
		} {
			err := add(fmt.Sprintf(k.path, namespace), k.kind, func(name string, o map[string]any) bool {
				// What every namespace has, and Helm's records.
				return !(k.kind == "ConfigMap" && name == "kube-root-ca.crt" || k.kind == "ServiceAccount" && name == "default" ||
					k.kind == "Secret" && o["type"] == "helm.sh/release.v1")
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if err := add("/api/v1/namespaces", "Namespace", func(name string, _ map[string]any) bool {
		return strings.HasPrefix(name, s.Prefix+"-")
	}); err != nil {
		return nil, err
	}
	err := add("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "CustomResourceDefinition", func(name string, _ map[string]any) bool {
		return strings.HasSuffix(name, "."+s.Group())
	})
	return all, err
}

// apiVersion is what the objects at an address say of themselves.
func apiVersion(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if parts[0] == "api" {
		return parts[1]
	}
	return parts[1] + "/" + parts[2]
}

// list reads a list; a kind that is not served has nothing.
func (o Oracle) list(ctx context.Context, path string) ([]map[string]any, error) {
	var list struct {
		Items []map[string]any `json:"items"`
	}
	_, err := o.read(ctx, path, &list)
	return list.Items, err
}

// read reads an answer; found is false where there is nothing.
func (o Oracle) read(ctx context.Context, path string, into any) (found bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.Server+path, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "oracle")
	resp, err := o.Client.Do(r)
	// A server that has just come back says so for a moment.
	for i := 0; i < 100 && (err != nil || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500); i++ {
		if err == nil {
			_ = resp.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
		resp, err = o.Client.Do(r)
	}
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return true, json.Unmarshal(raw, into)
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("the oracle reads %s: %s: %s", path, resp.Status, raw)
}

// differences are where a live value is not what is wanted. What the server adds to maps is none; the data of ConfigMaps and
// Secrets and the lists are compared as a whole.
func differences(want, have any, path string) []string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return []string{path + " is not there"}
		}
		var found []string
		for k, w := range want {
			h, ok := have[k]
			if !ok {
				found = append(found, path+"."+k+" is not there")
				continue
			}
			found = append(found, differences(w, h, path+"."+k)...)
		}
		if path == ".data" || path == ".spec.selector" {
			for k := range have {
				if _, ok := want[k]; !ok {
					found = append(found, path+"."+k+" is left over")
				}
			}
		}
		return found
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return []string{path + " has another length"}
		}
		var found []string
		for i := range want {
			found = append(found, differences(want[i], have[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return found
	}
	// Numbers are int64 here and float64 there.
	if fmt.Sprint(want) != fmt.Sprint(have) {
		return []string{path + " is another"}
	}
	return nil
}

// unowned says what an object lacks that a release owns, in Helm's words.
func unowned(id string, md map[string]any, w stack.Object) []string {
	labels, _ := md["labels"].(map[string]any)
	annotations, _ := md["annotations"].(map[string]any)
	if labels["app.kubernetes.io/managed-by"] == "Helm" && annotations["meta.helm.sh/release-name"] == w.Name &&
		annotations["meta.helm.sh/release-namespace"] == w.Namespace {
		return nil
	}
	return []string{fmt.Sprintf("%s does not belong to release %s/%s", id, w.Namespace, w.Name)}
}

// record is a revision of a release.
type record struct {
	revision int
	// label and status are its state, as the Secret's label and the record itself have it.
	label, status string
	password      any
}

// records reads Helm's records, by NAMESPACE/NAME, the oldest first.
func (o Oracle) records(ctx context.Context, s stack.Stack) (map[string][]record, error) {
	all := map[string][]record{}
	for _, namespace := range s.Namespaces() {
		items, err := o.list(ctx, "/api/v1/namespaces/"+namespace+"/secrets?labelSelector="+url.QueryEscape("owner=helm"))
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			r, key, err := decoded(item)
			if err != nil {
				return nil, fmt.Errorf("the oracle reads %s: %w", identity(item), err)
			}
			all[namespace+"/"+key] = append(all[namespace+"/"+key], r)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b record) int { return a.revision - b.revision })
	}
	return all, nil
}

// decoded reads a record: base64 in base64 of gzip of JSON.
func decoded(secret map[string]any) (record, string, error) {
	md, _ := secret["metadata"].(map[string]any)
	labels, _ := md["labels"].(map[string]any)
	data, _ := secret["data"].(map[string]any)
	text, _ := data["release"].(string)
	name, _ := labels["name"].(string)
	label, _ := labels["status"].(string)
	version, _ := labels["version"].(string)
	revision, err := strconv.Atoi(version)
	if err != nil {
		return record{}, "", err
	}
	outer, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return record{}, "", err
	}
	inner, err := base64.StdEncoding.DecodeString(string(outer))
	if err != nil {
		return record{}, "", err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(inner))
	if err != nil {
		return record{}, "", err
	}
	var release struct {
		Version int `json:"version"`
		Info    struct {
			Status string `json:"status"`
		} `json:"info"`
		Config map[string]any `json:"config"`
	}
	if err := json.NewDecoder(unzip).Decode(&release); err != nil {
		return record{}, "", err
	}
	if release.Version != revision {
		return record{}, "", fmt.Errorf("the label says revision %d and the record %d", revision, release.Version)
	}
	return record{revision: revision, label: label, status: release.Info.Status, password: release.Config["password"]}, name, nil
}

// misrecorded says what is wrong with the records: of each release exactly one is deployed, and it is the newest, and none is
// pending; and of no other release is there any.
func misrecorded(records map[string][]record, deployed []stack.Release) []string {
	var wrong []string
	wanted := map[string]bool{}
	for _, release := range deployed {
		key := release.Namespace + "/" + release.Name
		wanted[key] = true
		list := records[key]
		if len(list) == 0 {
			wrong = append(wrong, "release "+key+" has no record")
			continue
		}
		newest := list[len(list)-1]
		if newest.status != "deployed" {
			wrong = append(wrong, fmt.Sprintf("release %s: its newest revision %d is %s", key, newest.revision, newest.status))
		}
		if newest.password != release.Password {
			wrong = append(wrong, "release "+key+": its newest revision has other values")
		}
		for _, r := range list {
			switch {
			case r.label != r.status:
				wrong = append(wrong, fmt.Sprintf("release %s: revision %d is %s by its label and %s by itself", key, r.revision, r.label, r.status))
			case strings.HasPrefix(r.status, "pending") || r.status == "uninstalling":
				wrong = append(wrong, fmt.Sprintf("release %s: revision %d is %s", key, r.revision, r.status))
			case r.status == "deployed" && r.revision != newest.revision:
				wrong = append(wrong, fmt.Sprintf("release %s: revision %d is deployed, too", key, r.revision))
			}
		}
	}
	for key := range records {
		if !wanted[key] {
			wrong = append(wrong, "release "+key+" is gone and has records")
		}
	}
	return wrong
}

// Held says whether a Lease of otomi is still held. That is no part of Judge: a run that finds nothing to do takes no Lease, and
// leaves the one of a dead run as it is.
func (o Oracle) Held(ctx context.Context) ([]string, error) {
	items, err := o.list(ctx, "/apis/coordination.k8s.io/v1/namespaces/otomi-system/leases")
	if err != nil {
		return nil, err
	}
	var wrong []string
	for _, item := range items {
		spec, _ := item["spec"].(map[string]any)
		if holder, _ := spec["holderIdentity"].(string); holder != "" {
			wrong = append(wrong, "the Lease is still held by "+holder)
		}
	}
	return wrong, nil
}

// Leaks are the secrets that a text holds, plainly, quoted or encoded. It names them by their numbers, not their text.
func Leaks(text string, secrets []string) []string {
	var found []string
	for i, secret := range secrets {
		for form, shape := range shapes(secret) {
			if strings.Contains(text, shape) {
				found = append(found, fmt.Sprintf("secret %d, %s", i, form))
			}
		}
	}
	slices.Sort(found)
	return found
}

// shapes are the forms in which a secret may turn up.
func shapes(secret string) map[string]string {
	quoted := strconv.Quote(secret)
	ascii := strconv.QuoteToASCII(secret)
	plain, _ := json.Marshal(secret) // a string
	var unescaped bytes.Buffer
	encoder := json.NewEncoder(&unescaped)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(secret) // a string
	all := map[string]string{
		"plain": secret, "as Go quotes": quoted[1 : len(quoted)-1], "as Go quotes in ASCII": ascii[1 : len(ascii)-1],
		"as JSON": strings.Trim(string(plain), `"`), "as JSON without HTML": strings.Trim(strings.TrimSpace(unescaped.String()), `"`),
		"as YAML quotes": strings.ReplaceAll(secret, "'", "''"), "in a query": url.QueryEscape(secret), "in a path": url.PathEscape(secret),
	}
	// In base64 a text has three forms, by where in the encoded text it begins; its ends may run into its neighbours.
	for offset := range 3 {
		padded := append(make([]byte, offset), secret...)
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64 for URLs": base64.URLEncoding} {
			text := strings.TrimRight(encoding.EncodeToString(padded), "=")
			from := []int{0, 2, 3}[offset]
			all[fmt.Sprintf("%s at %d", name, offset)] = text[from : len(text)-2]
		}
	}
	// Its first words alone, which are no one else's.
	if i := strings.IndexByte(secret, '"'); i > 0 {
		all["its first words"] = secret[:i]
	}
	return all
}
