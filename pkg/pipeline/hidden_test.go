package pipeline

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/runlevel"
)

func TestFormerSecretsAreFoundWhereSecretsAreOrWere(t *testing.T) {
	t.Parallel()
	type tree = map[string]any
	now := tree{
		"a": "new-secret", "pin": "new-secret", "list": []any{"new-secret"}, "dsn": "pg://new-secret@db", "plain": "x",
		"more": tree{"kept": "new-secret"},
	}
	was := tree{
		"a": "old-secret", "pin": float64(739821), "list": []any{"old-item", "gone-item"}, "dsn": "pg://old@db", "plain": "public-text",
		"more": tree{"gone": "gone-beside"}, "left": tree{"adminPassword": "gone-named", "existingSecret": "name-of-one", "colour": "lightblue"},
	}
	release := diff.Release{Namespace: "apps", Name: "web", Action: diff.Uninstall, Former: []tree{was}}
	// As destroy has it after a rollback: what is planned is what is recorded.
	release.Wanted.Values = was
	plan := Plan{Levels: []diff.Level{{Releases: []diff.Release{release}}}}
	found := formerSecrets(plan, []runlevel.Release{{Namespace: "apps", Name: "web", Values: now}}, []string{"new-secret"})
	slices.Sort(found)
	require.Equal(t, []string{"739821", "gone-beside", "gone-item", "gone-named", "old-item", "old-secret", "pg://old@db"}, found)

	// Of a release that left the runlevels, names are all there is.
	found = formerSecrets(plan, nil, []string{"new-secret"})
	require.Contains(t, strings.Join(found, " "), "gone-named")
	require.NotContains(t, found, "lightblue")
	require.NotContains(t, found, "name-of-one")
}
