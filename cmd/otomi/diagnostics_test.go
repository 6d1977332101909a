package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
)

// unexampled are the codes that a few lines of text can't show, with the reason. Their packages' tests have them.
var unexampled = map[diag.Code]string{
	diag.YAMLEncoding:   "A file that is no UTF-8 is no example in a text.",
	diag.YAMLTooLarge:   "It takes 16 MiB of YAML, or aliases that expand to as much.",
	diag.RepoUnreadable: "It takes a file system: a link that leads out of the repository, or a file that may not be read.",

	diag.ChartUnauthorized: "It takes a repository or registry that asks for a password.",
	diag.ChartNoVersion:    "It takes a repository or registry that answers.",
	diag.ChartIndex:        "It takes a repository that answers.",
	diag.ChartTooLarge:     "It takes a server that sends more than 100 MiB, or an endless list.",
	diag.ChartProvenance:   "It takes a repository that answers, and a keyring.",
	diag.ChartCredentials:  "It takes a file of credentials or certificates on the machine.",
	diag.ChartUnsafe:       "It takes a link that leads out of the stack, or an archive with a link, a device or a name like ../x in it.",
}

// shown is the first line of a diagnostic for people.
var shown = regexp.MustCompile(`(?m)^(?:error|warning): .*  ([a-z-]+/[a-z-]+)$`)

// TestDiagnosticsDocumentGolden runs the example of each code, testdata/diagnostics/CODE.txtar (its first comment is the
// command, the second what the code means), and compares docs/diagnostics.md with what comes out. OTOMI_UPDATE=1 rewrites
// the document.
func TestDiagnosticsDocumentGolden(t *testing.T) {
	folder := filepath.Join("..", "..", "testdata", "diagnostics")
	var doc strings.Builder
	doc.WriteString(`# Diagnostics

Every problem in the input has a code, which stays the same from version to version. This page is written by a test from
the table of codes (pkg/diag) and the examples in testdata/diagnostics, each of which it runs: what is printed here is what
is printed there. To rewrite it: make update.
`)
	area := ""
	for _, code := range diag.Codes() {
		if head, _, _ := strings.Cut(string(code), "/"); head != area {
			area = head
			fmt.Fprintf(&doc, "\n## %s\n", area)
		}
		fmt.Fprintf(&doc, "\n### %s\n\n", code)
		name := filepath.Join(folder, strings.ReplaceAll(string(code), "/", "-")+".txtar")
		text, err := os.ReadFile(name)
		if reason, ok := unexampled[code]; ok {
			require.ErrorIs(t, err, os.ErrNotExist, "%s has an example, so it needs no reason", code)
			fmt.Fprintf(&doc, "%s. %s\n", capital(code.Summary()), reason)
			continue
		}
		if err != nil {
			t.Errorf("%s has no example: write %s", code, name)
			continue
		}
		example(t, &doc, code, txtar.Parse(text))
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	require.NoError(t, err)
	for _, file := range files {
		code := diag.Code(strings.Replace(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-", "/", 1))
		require.NotEmpty(t, code.Summary(), "%s is the example of no code", file)
	}

	golden := filepath.Join("..", "..", "docs", "diagnostics.md")
	if os.Getenv("OTOMI_UPDATE") != "" && !t.Failed() {
		require.NoError(t, os.WriteFile(golden, []byte(doc.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), doc.String(), "docs/diagnostics.md is not as the code has it: OTOMI_UPDATE=1 rewrites it")
}

// example runs an example and writes its section.
func example(t *testing.T, doc *strings.Builder, code diag.Code, archive *txtar.Archive) {
	t.Helper()
	command, meaning, ok := strings.Cut(strings.ReplaceAll(string(archive.Comment), "# ", ""), "\n")
	require.True(t, ok, "%s: the comment is the command and, on the next lines, what the code means", code)
	dir := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, f.Data, 0o644))
	}
	var out, err bytes.Buffer
	run(world{
		args: strings.Fields(command)[1:], env: func(string) string { return "" }, dir: dir,
		stdin: strings.NewReader(""), stdout: &out, stderr: &err,
	})
	var codes []string
	for _, match := range shown.FindAllStringSubmatch(err.String(), -1) {
		codes = append(codes, match[1])
	}
	slices.Sort(codes)
	if !slices.Equal(slices.Compact(codes), []string{string(code)}) {
		t.Errorf("the example of %s shows %v:\n%s", code, codes, err.String())
		return
	}
	fmt.Fprintf(doc, "%s. %s\n\n```yaml\n", capital(code.Summary()), strings.TrimSpace(strings.ReplaceAll(meaning, "\n", " ")))
	for i, f := range archive.Files {
		if i > 0 {
			doc.WriteString("\n")
		}
		fmt.Fprintf(doc, "# %s\n%s", f.Name, f.Data)
	}
	fmt.Fprintf(doc, "```\n\n```\n$ %s\n%s```\n", command, err.String())
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
