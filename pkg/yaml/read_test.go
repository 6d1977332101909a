package yaml

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
)

// short writes a finding as "place severity code", and with its end where there is one.
func short(d diag.Diagnostic) string {
	end := ""
	if d.Range.End != (diag.Pos{}) {
		end = fmt.Sprintf("-%d:%d", d.Range.End.Line, d.Range.End.Column)
	}
	return fmt.Sprintf("%s%s %s", d.Range, end, d.Code)
}

func shorts(ds diag.Diagnostics) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, short(d))
	}
	return out
}

func TestReadReportsEachFindingAtItsPlace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string
	}{
		"duplicate key":             {"a: 1\nb: 2\na: 3\n", []string{"f:3:1-3:2 yaml/duplicate-key"}},
		"both duplicates":           {"a: 1\na: 3\nb: {c: 1, c: 2}\n", []string{"f:2:1-2:2 yaml/duplicate-key", "f:3:11-3:12 yaml/duplicate-key"}},
		"number as key":             {"a:\n  1: x\n", []string{"f:2:3-2:4 yaml/non-string-key"}},
		"boolean as key":            {"n: x\n", []string{"f:1:1-1:2 yaml/non-string-key"}},
		"null as key":               {"~: x\n", []string{"f:1:1-1:2 yaml/non-string-key"}},
		"list as key":               {"? [a]\n: x\n", []string{"f:1:3-1:6 yaml/non-string-key"}},
		"several documents":         {"a: 1\n---\nb: 1\n", []string{"f:3:1-3:5 yaml/several-documents"}},
		"unknown tag":               {"a: !vault x\n", []string{"f:1:11-1:12 yaml/unknown-tag"}},
		"unknown tag on a map":      {"a: !x {b: 1}\n", []string{"f:1:7-1:8 yaml/unknown-tag"}},
		"binary":                    {"a: !!binary aGk=\n", []string{"f:1:13-1:17 yaml/unknown-tag"}},
		"forced tag":                {"a: ! 5\n", []string{"f:1:6-1:7 yaml/unknown-tag"}},
		"tag that does not fit":     {"a: !!int x\n", []string{"f:1:10-1:11 yaml/unknown-tag"}},
		"ambiguous booleans":        {"a: yes\nb: [off, 'no', true]\n", []string{"f:1:4-1:7 yaml/ambiguous-boolean", "f:2:5-2:8 yaml/ambiguous-boolean"}},
		"octal":                     {"mode: 0644\n", []string{"f:1:7-1:11 yaml/leading-zero"}},
		"no octal":                  {"id: 089\n", []string{"f:1:5-1:8 yaml/leading-zero"}},
		"plain zero":                {"a: 0\nb: 0.5\nc: 0x1f\nd: 0o17\n", []string{}},
		"infinite":                  {"a: .inf\n", []string{"f:1:4-1:8 yaml/syntax"}},
		"byte order mark":           {"\xef\xbb\xbfa: 1\n", []string{"f:1:1 yaml/encoding"}},
		"UTF-16":                    {"\xff\xfea\x00", []string{"f:1:1 yaml/encoding"}},
		"not UTF-8":                 {"a: ü\nb: \xff\n", []string{"f:2:4-2:5 yaml/encoding"}},
		"NUL":                       {"a: 1\nb: x\x00\n", []string{"f:2:5-2:6 yaml/encoding"}},
		"list at the root":          {"- a\n", []string{"f:1:1-1:2 values/root-not-a-map"}},
		"scalar at the root":        {"hello\n", []string{"f:1:1-1:6 values/root-not-a-map"}},
		"tab as indentation":        {"a:\n\tb: 1\n", []string{"f:2:2-2:6 yaml/syntax"}},
		"tab before a comment":      {"a: 1\n\t# c\nb: 2\n", []string{"f:2:2-2:5 yaml/syntax"}},
		"colon in a value":          {"a: 1\nb: c: d\n", []string{"f:2:1-2:8 yaml/syntax"}},
		"quotation not closed":      {"a: 1\nb: \"x\nc: 2\n", []string{"f:2:1-2:6 yaml/syntax"}},
		"sibling not aligned":       {"a:\n  b: 1\n  c: 2\n d: 3\n", []string{"f:4:2-4:6 yaml/syntax"}},
		"text after a quoted value": {"a: 1\nb: 2\nc: \"x\" y\nd: 1\n", []string{"f:3:1-3:9 yaml/syntax"}},
		"list not closed":           {"a: 1\nb: [1, 2\nc: 3\n", []string{"f:2:1-2:9 yaml/syntax"}},
		"unknown anchor":            {"a: *b\n", []string{"f:1:4-1:6 yaml/bad-alias"}},
		"anchor in itself":          {"a: &a\n  b: *a\n", []string{"f:2:6-2:8 yaml/bad-alias"}},
		"merge of a scalar":         {"a: &a 1\nb:\n  <<: *a\n", []string{"f:3:3-3:5 yaml/bad-alias"}},
		"merge key too late":        {"a: &a {x: 1}\nb:\n  x: 2\n  <<: *a\n", []string{"f:4:3-4:5 yaml/merge-order"}},
		"merge key that is beaten":  {"a: &a {x: 1}\nb:\n  <<: *a\n  x: 2\n", []string{}},
		"finding in an anchor":      {"a: &a {x: yes}\nb: *a\nc: *a\n", []string{"f:1:11-1:14 yaml/ambiguous-boolean"}},
		"characters, not bytes":     {"ä: 'öü'\nß: [ö, yes]\n", []string{"f:2:8-2:11 yaml/ambiguous-boolean"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, diags := Read([]byte(tt.text), ReadOptions{File: "f", Map: true})
			require.Equal(t, tt.want, shorts(diags), "input:\n%s\n%v", tt.text, diags)
			for _, d := range diags {
				require.NotEmpty(t, d.Code.Summary())
				require.True(t, strings.HasSuffix(d.Detail, "."), d.Detail)
			}
		})
	}
}

func TestReadOfASecretFileShowsNoValue(t *testing.T) {
	t.Parallel()
	root, diags := Read([]byte("pin: 07654\nother: 0987\nlast: .inf\nb: yes\nc: 'x'\n"), ReadOptions{File: "f", Secret: true})
	require.NotNil(t, root)
	require.Len(t, diags, 4)
	for _, d := range diags {
		require.True(t, d.Secret)
		for _, text := range []string{"7654", "4012", "987", "inf", "yes"} {
			require.NotContains(t, d.Detail, text)
		}
	}
}

func TestReadNamesBothPlacesOfADuplicateKey(t *testing.T) {
	t.Parallel()
	_, diags := Read([]byte("a: 1\n\"a\": 2\n"), ReadOptions{File: "f"})
	require.Equal(t, []string{"f:2:1-2:4 yaml/duplicate-key"}, shorts(diags))
	require.Equal(t, "f:1:1", diags[0].Notes[0].Range.String())
}

func TestReadGivesEveryNodeItsPlace(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		"# comment",                 // 1
		"plain: some words # c",     // 2
		"quoted: \"a \\\" b\"",      // 3
		"single: 'it''s'",           // 4
		"block: |-",                 // 5
		"  text",                    // 6
		"map:",                      // 7
		"  key: 1",                  // 8
		"list:",                     // 9
		"  - x",                     // 10
		"  -",                       // 11
		"flow: {a: [1, 2 ], b: {}}", // 12
		"null:",                     // 13
		"anchored: &a !!str 5",      // 14
		"alias: *a",                 // 15
		"multi: one",                // 16
		"  two",                     // 17
		"",
	}, "\n")
	text = strings.Replace(text, "null:", "none:", 1)
	root, diags := Read([]byte(text), ReadOptions{File: "f", Layer: "l", Map: true})
	require.Empty(t, diags)
	got := []string{}
	root.Walk(func(p value.Path, n *value.Node) bool {
		require.Equal(t, "l", n.Origin.Layer)
		r := n.Origin.Range
		got = append(got, fmt.Sprintf("%s %s %d:%d-%d:%d", p, n.Kind, r.Start.Line, r.Start.Column, r.End.Line, r.End.Column))
		return true
	})
	require.Equal(t, []string{
		" map 2:1-2:6",
		"plain string 2:8-2:18",
		"quoted string 3:9-3:17",
		"single string 4:9-4:16",
		"block string 5:8-5:10",
		"map map 8:3-8:6",
		"map.key integer 8:8-8:9",
		"list list 10:3-10:4",
		"list[0] string 10:5-10:6",
		"list[1] null 11:3-11:4",
		"flow map 12:7-12:26",
		"flow.a list 12:11-12:18",
		"flow.a[0] integer 12:12-12:13",
		"flow.a[1] integer 12:15-12:16",
		"flow.b map 12:23-12:25",
		"none null 13:1-13:5",
		"anchored string 14:20-14:21",
		"alias string 15:8-15:10",
		"multi string 16:8-17:6",
	}, got)
	f, _ := root.Field("flow")
	require.Equal(t, "f:12:1", f.KeyRange.String())
}

func TestReadKindsOfScalars(t *testing.T) {
	t.Parallel()
	root, diags := Read([]byte("a: 9007199254740993\nb: 1.5\nc: 2024-01-02\nd: 18446744073709551615\ne: 1_000\nf: 1e3\ng: '1'\n"), ReadOptions{})
	require.False(t, diags.HasErrors())
	require.Equal(t, map[string]any{
		"a": int64(9007199254740993), "b": 1.5, "c": "2024-01-02", "d": float64(math.MaxUint64), "e": int64(1000), "f": 1000.0, "g": "1",
	}, root.Plain())
}

func TestReadEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# only a comment\n", "---\n", "null\n", "{}\n", "---\n# c\n...\n"} {
		root, diags := Read([]byte(text), ReadOptions{Map: true})
		require.Empty(t, diags, text)
		require.Equal(t, value.Map, root.Kind, text)
		require.Empty(t, root.Fields, text)
	}
}

func TestReadTrailingSeparatorIsNoDocument(t *testing.T) {
	t.Parallel()
	_, diags := Read([]byte("a: 1\n---\n"), ReadOptions{})
	require.Empty(t, diags)
}

func TestReadBudgets(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	_, diags := Read([]byte(nested(MaxDepth)), ReadOptions{})
	require.Empty(t, diags)
	root, diags := Read([]byte(nested(MaxDepth+1)), ReadOptions{})
	require.Nil(t, root)
	require.Equal(t, diag.YAMLTooLarge, diags[0].Code)

	_, diags = Read([]byte(strings.Repeat("? ", MaxDepth+1)+"a"), ReadOptions{})
	require.Equal(t, diag.YAMLTooLarge, diags[len(diags)-1].Code, "maps as keys count too")

	full := []byte("'" + strings.Repeat("x", MaxBytes-2) + "'")
	_, diags = Read(full, ReadOptions{})
	require.Empty(t, diags)
	_, diags = Read(append(full, '\n'), ReadOptions{})
	require.Equal(t, diag.YAMLTooLarge, diags[0].Code)

	root, diags = Read([]byte("["+strings.Repeat("a,", MaxNodes)+"]"), ReadOptions{})
	require.Nil(t, root)
	require.Equal(t, diag.YAMLTooLarge, diags[0].Code)
}

func TestReadRefusesAnAliasBomb(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	for _, read := range []func([]byte, ReadOptions) (*value.Node, diag.Diagnostics){Read, ReadState} {
		root, diags := read([]byte(b.String()), ReadOptions{File: "f"})
		require.Nil(t, root)
		require.Len(t, diags, 1)
		require.Equal(t, diag.YAMLTooLarge, diags[0].Code)
	}
}

func TestReadAliasesShareNothing(t *testing.T) {
	t.Parallel()
	root, diags := Read([]byte("a: &a {x: [1]}\nb: *a\n"), ReadOptions{})
	require.Empty(t, diags)
	require.NotSame(t, root.Get("a"), root.Get("b"))
	require.NotSame(t, root.Get("a").Get("x"), root.Get("b").Get("x"))
}

func TestReadStateFollowsHelmfile(t *testing.T) {
	t.Parallel()
	root, diags := ReadState([]byte("a: yes\nb: true\nc: 2024-01-02\n1: x\non: y\nd: &d {k: 1, l: 1}\ne:\n  k: 2\n  <<: *d\nf: !vault secret\ng: 0644\nh: 1.5\ni: ~\n"), ReadOptions{File: "f"})
	require.Empty(t, diags)
	require.Equal(t, map[string]any{
		"a": "yes", "b": true, "c": "2024-01-02", "1": "x", "on": "y",
		"d": map[string]any{"k": int64(1), "l": int64(1)}, "e": map[string]any{"k": int64(2), "l": int64(1)},
		"f": "secret", "g": int64(420), "h": 1.5, "i": nil,
	}, root.Plain())
	_, diags = ReadState([]byte("a: 1\na: 2\n"), ReadOptions{File: "f"})
	require.Equal(t, []string{"f:2:1-2:2 yaml/duplicate-key"}, shorts(diags))
}

func TestMarshalSortsKeysInBlocks(t *testing.T) {
	t.Parallel()
	text, err := Marshal(map[string]any{"b": []any{int64(1), "yes"}, "a": map[string]any{"x": nil}})
	require.NoError(t, err)
	require.Equal(t, "a:\n  x: null\nb:\n- 1\n- \"yes\"\n", string(text))
}

func TestToChartCopies(t *testing.T) {
	t.Parallel()
	in := map[string]any{"a": []any{int64(1), "x", map[string]any{"b": int64(2)}}, "c": true}
	out := ToChart(in)
	require.Equal(t, map[string]any{"a": []any{1.0, "x", map[string]any{"b": 2.0}}, "c": true}, out)
	require.Equal(t, int64(1), in["a"].([]any)[0])
}

func TestFloatNotation(t *testing.T) {
	t.Parallel()
	root, _ := Read([]byte("a: 999999\nb: 1000000\nc: [-12345678]\nd: '1000000'\n"), ReadOptions{File: "f"})
	diags := FloatNotation(root)
	require.Equal(t, []string{"f:2:4-2:11 values/float-notation", "f:3:5-3:14 values/float-notation"}, shorts(diags))
	require.Contains(t, diags[0].Detail, "1e+06")
}

var seeds = []string{
	"", "a: 1", "a: [1, {b: c}]\n", "a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\n", "a: {b: 2, <<: {b: 3}}", "<<: [{a: 1}, {a: 2, b: 3}]",
	"a: yes\nb: Off\nc: 'no'\nd: \"y\"\n", "a: 0644\nb: 0x1f\nc: 1_000\nd: 0b11\ne: -0b11\nf: 1e3\ng: .5\nh: 089\ni: 0o17", "a: 2024-01-02\nb: 2024-01-02T00:00:00Z\nc: 2024-1-2 1:2:3",
	"a: |\n  x\n  y\nb: >-\n  z\n\n  w\n", "a: \"\\u00e4\\n\"\n", "? a\n: b\n", "a: !!str 5\nb: !!int \"3\"\nc: !!float 3\nd: !!null ''\n", "a: ! 5", "%YAML 1.1\n---\na: 1\n",
	"a: 1\n---\nb: 2\n", "---\n---\na: 1\n", "a: 18446744073709551615\nb: 9223372036854775808\nc: -9223372036854775809\n", "a: .inf\nb: .nan", "a: 1:30\nb: 12e03\nc: +1\nd: -0\ne: -0.0\nf: 1.\n",
	"a:\n- b\n- - c\n  - d\n-\n", "ä: ö\n\u2028b: c", "a: b\r\nc: d\rd: e\n", "[a, b]: c", "a: <<\n", "<<: {}\n", "\"<<\": 1\n", "a: *a", "a: &a [*a]", "&a a: *a\n*a : b\n", "a: # c\n  b: 1 # d\n# e\nf: 2\n",
	"{a: 1, b, c: }", "[a: b, c]", "a: !!binary aGk=", "a: !!set {b}", "a: !!timestamp 2024-01-01", "a: 'x\n\n  y'\n", "- a\n- b", "a: ~\nb:\nc: null\n", "a: 1\n...\nb: 2", "\t", "a: @b", "a: `b`", "a:\tb",
	"&0\n!", "#\r\t\r#", "#\n\t#", "a: [\n\t# c\n]", "!\u0085", "a: &x\u2028!", "a: &x !\n", "a: !\n!!str b: c", "! a", "a: &x\n  !!str\n  b\n", "[! , a]", "a: !<tag:yaml.org,2002:str> b", "!!map {a: b}", "a: &x\nb: *x\n",
	"a: 0b+1\nb: 0b-1\nc: -0b1\nd: -0b+1\ne: 0b_1\nf: +0b1\n",
}

// sameAsHelm is the law of this package: what Read accepts, it reads as Helm does.
func sameAsHelm(t *testing.T, text []byte) {
	t.Helper()
	root, diags := Read(text, ReadOptions{File: "f"})
	if diags.HasErrors() {
		return
	}
	want, err := Decode(text)
	require.NoError(t, err, "Read accepts what Helm refuses:\n%q", text)
	if want == nil && root.Kind == value.Map {
		want = map[string]any{}
	}
	require.Equal(t, want, ToChart(root.Plain()), "input:\n%q", text)
	root.Walk(func(p value.Path, n *value.Node) bool {
		r := n.Origin.Range
		require.False(t, r.Start.Line < 1 || r.Start.Column < 1 || r.End != (diag.Pos{}) && r.End.Before(r.Start), "%s has the place %+v in:\n%q", p, r, text)
		return true
	})
}

func FuzzRead(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bound.Run(t, string(text), func() { Read(text, ReadOptions{File: "f"}) })
		sameAsHelm(t, text)
	})
}

func FuzzReadState(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bound.Run(t, string(text), func() { ReadState(text, ReadOptions{File: "f"}) })
	})
}

// fixtures are the values of a real platform, beside the repository.
func fixtures(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "fixtures", "otomi-v0.13")
	var files []string
	for _, pattern := range []string{"*.yaml", "env/*.yaml", "env/*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("the shared fixtures are not beside this checkout")
	}
	return files
}

func TestReadRealFilesAsHelmDoes(t *testing.T) {
	t.Parallel()
	for _, file := range fixtures(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, diags := Read(text, ReadOptions{File: filepath.Base(file), Map: true})
		require.False(t, diags.HasErrors(), "%v", diags)
		sameAsHelm(t, text)
	}
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "service%d:\n  image: registry/app:1.%d\n  replicas: 3\n  enabled: true\n  env:\n  - {name: A, value: \"x y\"}\n", i, i)
	}
	in := []byte(text.String())
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		Read(in, ReadOptions{File: "f", Map: true})
	}
}

func TestIntegerOver64BitsLostItsLastDigitsSilently(t *testing.T) {
	t.Parallel()
	const text = "a: 9223372036854775807\nb: 9223372036854775808\nc: -9223372036854775809\nd: 123456789012345678901234567890\n" +
		"e: !!int 18446744073709551615\nf: 1e30\ng: '9223372036854775808'\nh: 1_000\n"
	_, diags := Read([]byte(text), ReadOptions{File: "f"})
	require.Equal(t, []string{
		"f:2:4-2:23 values/float-notation", "f:3:4-3:24 values/float-notation", "f:4:4-4:34 values/float-notation",
		"f:5:10-5:30 values/float-notation",
	}, shorts(diags))
	require.Equal(t, diag.Warning, diags[0].Severity)
	require.Equal(t, `9223372036854775808 is no integer of 64 bits: it is read as the float 9.223372036854776e+18, as Helm reads it, `+
		`and its last digits may be lost. Write "9223372036854775808" in quotes for the string.`, diags[0].Detail)

	_, diags = Read([]byte("b: 9223372036854775808"), ReadOptions{File: "f", Secret: true})
	require.Len(t, diags, 1)
	require.NotContains(t, diags[0].Detail, "922")
}
