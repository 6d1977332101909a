package openapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/stretchr/testify/require"
)

// foo is the definition of a kind whose spec has a schema.
func foo(schema string) string {
	return "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: foos.x.io}\nspec:\n  group: x.io\n" +
		"  scope: Namespaced\n  names: {kind: Foo, plural: foos}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n" +
		"      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: " + schema + "}}}\n"
}

const fooObject = "apiVersion: x.io/v1\nkind: Foo\nmetadata: {name: a}\nspec: {n: %s}\n"

// A number that Go's JSON does not read as an integer made the whole schema count as none, and nothing said so.
func TestObjectsOfASchemaThatCannotBeReadAreNotPassedOver(t *testing.T) {
	t.Parallel()
	for _, keyword := range []string{"maxLength: 99999999999999999999", "maxLength: 1.5", "pattern: 7"} {
		definition := object(t, foo("{n: {type: integer}, s: {type: string, "+keyword+"}}"))
		c, _, err := library(t).Checker("1.36", []manifest.Object{definition})
		require.NoError(t, err)
		found := check(t, c, object(t, fmt.Sprintf(fooObject, "wrong")))
		require.Len(t, found, 1, keyword)
		require.Equal(t, diag.ManifestNoSchema, found[0].Code)
		require.Contains(t, found[0].Detail, "keyword that can't be read")
	}
}

// Two thousand small patterns of a definition, with a long string, held a check for minutes.
func TestPatternsThatCostTooMuchEnd(t *testing.T) {
	t.Parallel()
	var alternatives []string
	for i := range 2000 {
		alternatives = append(alternatives, fmt.Sprintf("{pattern: '^(a|b|%d){900}$'}", i))
	}
	definition := object(t, foo("{n: {type: string, anyOf: ["+strings.Join(alternatives, ",")+"]}}"))
	c, _, err := library(t).Checker("1.36", []manifest.Object{definition})
	require.NoError(t, err)
	long := object(t, fmt.Sprintf(fooObject, strings.Repeat("a", 100_000)))
	start := time.Now()
	found := check(t, c, long)
	require.Less(t, time.Since(start), 2*time.Minute)
	require.Len(t, found, 1)
	require.Equal(t, diag.ManifestNoSchema, found[0].Code)
	require.Contains(t, found[0].Detail, "not checked wholly")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Check(ctx, "apps/web", long, here)
	require.ErrorIs(t, err, context.Canceled)
}

// v1beta10 was older than v1beta2.
func TestVersionsAreSortedByTheirNumbers(t *testing.T) {
	t.Parallel()
	versions := []string{"v1alpha1", "v1beta2", "v1", "v1beta10", "v10", "v2", "v2beta1", "v2alpha3", "v1beta1"}
	openapi.SortVersions(versions)
	require.Equal(t, []string{"v10", "v2", "v1", "v2beta1", "v1beta10", "v1beta2", "v1beta1", "v2alpha3", "v1alpha1"}, versions)
}
