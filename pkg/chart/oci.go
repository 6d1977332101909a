package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/redkubes/otomi/pkg/diag"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// The media types of a chart in a registry (pkg/registry, constants.go).
const (
	configType      = "application/vnd.cncf.helm.config.v1+json"
	layerType       = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	oldLayerType    = "application/tar+gzip"
	provenanceType  = "application/vnd.cncf.helm.chart.provenance.v1.prov"
	maxConfig       = 1 << 20
	unknownManifest = "It is no chart that helm push made"
)

// splitOCI takes tag and digest off the address of a place in a registry: oci://HOST/PATH[:TAG][@DIGEST].
func (p *place) splitOCI() error {
	rest := strings.TrimPrefix(p.url.Path, "/")
	if name, digest, ok := strings.Cut(rest, "@"); ok {
		rest, p.digest = name, digest
	}
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		rest, p.tag = rest[:i], rest[i+1:]
	}
	p.url.Path, p.url.RawPath, p.url.RawQuery, p.url.Fragment = "/"+rest, "", "", ""
	p.name = path.Base(rest)
	reference := registry.Reference{Registry: p.url.Host, Repository: rest, Reference: p.digest}
	err := reference.ValidateRegistry()
	if err == nil {
		err = reference.ValidateRepository()
	}
	if err == nil && p.digest != "" {
		err = reference.ValidateReferenceAsDigest()
	}
	if err == nil && p.digest != "" && !strings.HasPrefix(p.digest, "sha256:") {
		err = errors.New("its digest is not a sha256")
	}
	if err != nil {
		return faultf(diag.ChartUnsupported, "the reference oci://%s/%s is not one of a registry: %v. Write oci://HOST/PATH, with :VERSION or @sha256:DIGEST behind it",
			p.url.Host, rest, err)
	}
	return nil
}

// repository returns the place in the registry that p names, and what tells why credentials were not found for it.
func (r *Remote) repository(p place) (*remote.Repository, *keys, error) {
	client, err := r.client(p)
	if err != nil {
		return nil, nil, err
	}
	repo := &remote.Repository{
		Reference:       registry.Reference{Registry: p.url.Host, Repository: strings.TrimPrefix(p.url.Path, "/")},
		PlainHTTP:       p.repository.PlainHTTP,
		TagListMaxPages: maxPages,
	}
	k := &keys{files: r.o.Credentials}
	if p.username != "" || p.password != "" {
		k.own, k.host = auth.Credential{Username: p.username, Password: p.password}, ""
		if p.owner == origin(p.url) || p.repository.PassCredentials {
			k.host = repo.Reference.Host()
		}
	}
	repo.Client = r.authorized(client, k)
	return repo, k, nil
}

// authorized returns a client that answers the challenges of a registry.
func (r *Remote) authorized(client *http.Client, k *keys) *auth.Client {
	return &auth.Client{
		Client:     client,
		Header:     http.Header{"User-Agent": {r.o.UserAgent}},
		Credential: k.credential,
		Cache:      auth.NewCache(),
		ClientID:   "otomi",
	}
}

// resolveOCI finds the tag or digest that is asked for, as Helm does (pkg/registry, Client.ValidateReference), and reads its
// manifest for the digests.
func (r *Remote) resolveOCI(ctx context.Context, p place, asked string) (Resolved, error) {
	version, tag := asked, strings.ReplaceAll(p.tag, "_", "+")
	if version == "" {
		version = tag
	} else if tag != "" && tag != version {
		return Resolved{}, faultf(diag.ChartNoVersion, "the reference %s names the version %s, and %s is asked for. Write it in one place", p.display, p.tag, version)
	}
	repo, k, err := r.repository(p)
	if err != nil {
		return Resolved{}, err
	}
	reference := p.digest
	switch {
	case p.digest != "" && version != "":
		if err := r.compareTag(ctx, p, repo, k, version); err != nil {
			return Resolved{}, err
		}
	case p.digest == "":
		if _, err := semver.NewVersion(version); err != nil {
			tags, err := r.tags(ctx, p, repo, k)
			if err != nil {
				return Resolved{}, err
			}
			i, found, err := pick(tags, version)
			if err != nil || !found {
				return Resolved{}, noVersion(p, version, tags, err)
			}
			version = tags[i]
		}
		reference = tagOf(version)
	}
	m, digest, err := r.manifest(ctx, p, repo, k, reference)
	if err != nil {
		return Resolved{}, err
	}
	if version == "" {
		if version, err = r.configured(ctx, p, repo, k, m.Config); err != nil {
			return Resolved{}, err
		}
	}
	layer, err := m.layer(p)
	if err != nil {
		return Resolved{}, err
	}
	at := "oci://" + p.url.Host + p.url.Path
	if p.digest != "" {
		at += "@" + p.digest
	} else {
		at += ":" + reference
	}
	return Resolved{
		Name:     p.name,
		Version:  strings.ReplaceAll(version, "_", "+"),
		URL:      at,
		Digest:   strings.TrimPrefix(layer.Digest.String(), "sha256:"),
		Manifest: digest,
	}, nil
}

// tagOf writes a version as a tag, which has no plus (pkg/registry, registryUnderscoreMessage).
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// compareTag refuses a digest that the tag beside it does not lead to. A tag that is not there says nothing, as with Helm.
func (r *Remote) compareTag(ctx context.Context, p place, repo *remote.Repository, k *keys, version string) error {
	_, digest, err := r.manifest(ctx, p, repo, k, tagOf(version))
	var f fault
	if errors.As(err, &f) && f.code == diag.ChartNoVersion {
		return nil
	}
	if err != nil {
		return err
	}
	if digest != p.digest {
		return faultf(diag.ChartDigest, "the version %s of the chart %s has the digest %s, and the reference says %s. Correct one of them",
			version, p.name, digest, p.digest)
	}
	return nil
}

// tags returns the tags that are versions, newest first, with their plus (pkg/registry, Client.Tags).
func (r *Remote) tags(ctx context.Context, p place, repo *remote.Repository, k *keys) ([]string, error) {
	var versions []*semver.Version
	count := 0
	err := repo.Tags(ctx, "", func(page []string) error {
		if count += len(page); count > maxTags {
			return errdef.ErrTooManyPages
		}
		for _, tag := range page {
			if v, err := semver.StrictNewVersion(strings.ReplaceAll(tag, "_", "+")); err == nil {
				versions = append(versions, v)
			}
		}
		return nil
	})
	if errors.Is(err, errdef.ErrTooManyPages) {
		return nil, faultf(diag.ChartTooLarge, "%s lists more than %d tags of the chart %s, or %d pages of them, which is the most that otomi reads. "+
			"Ask for an exact version", hostOf(p.url), maxTags, p.name, maxPages)
	}
	if err != nil {
		return nil, k.explain(p, "the tags of the chart "+p.name, err)
	}
	sort.Sort(sort.Reverse(semver.Collection(versions)))
	out := make([]string, len(versions))
	for i, v := range versions {
		out[i] = v.String()
	}
	return out, nil
}

func (r *Remote) listOCI(ctx context.Context, p place) ([]string, error) {
	repo, k, err := r.repository(p)
	if err != nil {
		return nil, err
	}
	return r.tags(ctx, p, repo, k)
}

// manifest is what of an OCI manifest makes a chart.
type manifest struct{ ocispec.Manifest }

// manifest reads the manifest of a tag or digest, and returns its digest with it.
func (r *Remote) manifest(ctx context.Context, p place, repo *remote.Repository, k *keys, reference string) (manifest, string, error) {
	desc, body, err := repo.Manifests().FetchReference(ctx, reference)
	if errors.Is(err, errdef.ErrNotFound) {
		return manifest{}, "", faultf(diag.ChartNoVersion, "%s has no %s of the chart %s. List what it has with otomi charts outdated, or correct the reference",
			hostOf(p.url), reference, p.name)
	}
	if err != nil {
		return manifest{}, "", k.explain(p, "the manifest of the chart "+p.name, err)
	}
	defer body.Close()
	data, err := r.content(p, body, desc, maxManifest, "the manifest of the chart "+p.name)
	if err != nil {
		return manifest{}, "", err
	}
	var m manifest
	if err := json.Unmarshal(data, &m.Manifest); err != nil {
		return manifest{}, "", faultf(diag.ChartInvalid, "the manifest of the chart %s at %s is not JSON of a manifest: %s. %s", p.name, hostOf(p.url), brief(err), unknownManifest)
	}
	if m.Config.MediaType != configType {
		return manifest{}, "", faultf(diag.ChartInvalid, "what %s has as %s is of the type %q and no chart. %s; correct the reference",
			hostOf(p.url), p.display, m.Config.MediaType, unknownManifest)
	}
	return m, desc.Digest.String(), nil
}

// content reads what a descriptor describes, and compares size and digest.
func (r *Remote) content(p place, body io.Reader, desc ocispec.Descriptor, max int64, what string) ([]byte, error) {
	if desc.Size > max {
		return nil, faultf(diag.ChartTooLarge, "%s at %s has %d bytes, and otomi downloads %s at most. Ask who runs it why", what, hostOf(p.url), desc.Size, size(max))
	}
	data, err := readBounded(body, -1, max)
	if errors.Is(err, errTooLarge) {
		return nil, faultf(diag.ChartTooLarge, "%s sends more than %s for %s, which is the most that otomi downloads. Ask who runs it why", hostOf(p.url), size(max), what)
	}
	if err != nil {
		return nil, fmt.Errorf("downloading %s from %s: %w", what, hostOf(p.url), err)
	}
	sum := sha256.Sum256(data)
	got := "sha256:" + hex.EncodeToString(sum[:])
	if desc.Digest.Algorithm().Available() {
		got = desc.Digest.Algorithm().FromBytes(data).String()
	}
	if got != desc.Digest.String() {
		return nil, faultf(diag.ChartDigest, "%s at %s is not the one that is expected: its digest is %s, and %s was expected. "+
			"Find out who changed it; nothing of it was used", what, hostOf(p.url), got, desc.Digest)
	}
	return data, nil
}

// blob downloads a layer or the config of a chart.
func (r *Remote) blob(ctx context.Context, p place, repo *remote.Repository, k *keys, desc ocispec.Descriptor, max int64, what string) ([]byte, error) {
	if desc.Size < 0 || desc.Digest.Validate() != nil {
		return nil, faultf(diag.ChartInvalid, "the manifest of the chart %s at %s describes %s wrongly. %s", p.name, hostOf(p.url), what, unknownManifest)
	}
	if desc.Size > max {
		return nil, faultf(diag.ChartTooLarge, "%s at %s has %d bytes, and otomi downloads %s at most. Ask who runs it why", what, hostOf(p.url), desc.Size, size(max))
	}
	body, err := repo.Blobs().Fetch(ctx, desc)
	if err != nil {
		return nil, k.explain(p, what, err)
	}
	defer body.Close()
	return r.content(p, body, desc, max, what)
}

// layer returns the descriptor of the archive.
func (m manifest) layer(p place) (ocispec.Descriptor, error) {
	var found ocispec.Descriptor
	for _, l := range m.Layers {
		if l.MediaType == layerType || l.MediaType == oldLayerType {
			found = l
		}
	}
	if found.MediaType == "" {
		return found, faultf(diag.ChartInvalid, "the manifest of the chart %s at %s has no layer of a chart. %s", p.name, hostOf(p.url), unknownManifest)
	}
	if found.Digest.Validate() != nil || found.Digest.Algorithm() != "sha256" {
		return found, faultf(diag.ChartInvalid, "the manifest of the chart %s at %s has no sha256 of its layer. %s", p.name, hostOf(p.url), unknownManifest)
	}
	return found, nil
}

// provenance returns the descriptor of the provenance, and whether there is one.
func (m manifest) provenance() (ocispec.Descriptor, bool) {
	for _, l := range m.Layers {
		if l.MediaType == provenanceType {
			return l, true
		}
	}
	return ocispec.Descriptor{}, false
}

// configured returns the version that the config of a chart says, which is its Chart.yaml as JSON.
func (r *Remote) configured(ctx context.Context, p place, repo *remote.Repository, k *keys, desc ocispec.Descriptor) (string, error) {
	data, err := r.blob(ctx, p, repo, k, desc, maxConfig, "the config of the chart "+p.name)
	if err != nil {
		return "", err
	}
	var c struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return "", faultf(diag.ChartInvalid, "the config of the chart %s at %s is no JSON: %s. %s", p.name, hostOf(p.url), brief(err), unknownManifest)
	}
	return c.Version, nil
}

// fetchOCI downloads the chart of a manifest: the one of the digest that was resolved, whatever the tag leads to by now.
func (r *Remote) fetchOCI(ctx context.Context, p place, to Resolved) (Fetched, error) {
	repo, k, err := r.repository(p)
	if err != nil {
		return Fetched{}, err
	}
	reference := to.Manifest
	if reference == "" {
		reference = p.digest
	}
	if reference == "" {
		reference = p.tag
	}
	if reference == "" {
		reference = to.Version
	}
	if reference == "" {
		return Fetched{}, faultf(diag.ChartNoVersion, "the reference %s has no version. Add one, or write charts.lock again with otomi charts lock", p.display)
	}
	m, _, err := r.manifest(ctx, p, repo, k, tagOf(reference))
	if err != nil {
		return Fetched{}, err
	}
	layer, err := m.layer(p)
	if err != nil {
		return Fetched{}, err
	}
	archive, err := r.blob(ctx, p, repo, k, layer, maxArchive, "the chart "+p.name)
	if err != nil {
		return Fetched{}, err
	}
	if err := checkDigest(archive, to.Digest, "the archive of "+p.display); err != nil {
		return Fetched{}, err
	}
	out := Fetched{Archive: archive}
	if wanted, keyring := r.verify(p); wanted {
		desc, ok := m.provenance()
		if !ok {
			return Fetched{}, faultf(diag.ChartProvenance, "the chart %s of %s has no provenance, and it is asked for. "+
				"Sign the chart with helm package --sign and push it with its .prov file, or take verify away", p.name, hostOf(p.url))
		}
		if out.Provenance, err = r.blob(ctx, p, repo, k, desc, maxProvenance, "the provenance of the chart "+p.name); err != nil {
			return Fetched{}, err
		}
		if err := verifyProvenance(archive, p.name+"-"+to.Version+".tgz", out.Provenance, keyring); err != nil {
			return Fetched{}, err
		}
	}
	return out, nil
}

// explain tells what a registry's refusal means.
func (k *keys) explain(p place, what string, err error) error {
	var f fault
	if errors.As(err, &f) {
		return f
	}
	var answer *errcode.ErrorResponse
	denied := errors.Is(err, auth.ErrBasicCredentialNotFound)
	said := status(http.StatusUnauthorized)
	if errors.As(err, &answer) {
		denied = denied || answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden
		said = status(answer.StatusCode)
		if answer.StatusCode == http.StatusNotFound {
			return faultf(diag.ChartMissing, "%s has no %s. Correct the reference", hostOf(p.url), what)
		}
	}
	host := hostOf(p.url)
	switch {
	case !denied:
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("asking %s for %s: %w", host, what, err)
	case k.helper != "":
		return faultf(diag.ChartUnauthorized, "%s wants credentials for %s (%s), and %s keeps them with the program docker-credential-%s, which otomi does not run. "+
			"Log in with otomi registry login %s, or give the repository a username and a password", host, what, said, k.helperFile, k.helper, host)
	case k.used:
		return faultf(diag.ChartUnauthorized, "%s does not accept the credentials for %s (%s). Log in again with otomi registry login %s, or correct those of the repository",
			host, what, said, host)
	}
	return faultf(diag.ChartUnauthorized, "%s wants credentials for %s (%s). Log in with otomi registry login %s, or give the repository a username and a password",
		host, what, said, host)
}
