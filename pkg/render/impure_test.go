package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/stretchr/testify/require"
)

// twice renders a template twice, a year apart, and returns both texts and what was noted of the first.
func twice(t *testing.T, text string) (first, second string, noted []manifest.ImpureCall) {
	t.Helper()
	c := chartOf(text)
	now := time.Now()
	p := &programs{}
	a, err := renderTemplates(t.Context(), p, c, valuesOf(t, c), func() time.Time { return now })
	require.NoError(t, err, text)
	b, err := renderTemplates(t.Context(), p, c, valuesOf(t, c), func() time.Time { return now.AddDate(1, 0, 1) })
	require.NoError(t, err, text)
	require.Equal(t, a.impure, b.impure, text)
	return a.files["web/templates/x.yaml"], b.files["web/templates/x.yaml"], a.impure
}

// impureCalls has a call of every function whose result is another one a year later.
var impureCalls = map[string]string{
	"randAlphaNum": `{{ randAlphaNum 20 }}`, "randAlpha": `{{ randAlpha 20 }}`, "randAscii": `{{ randAscii 20 }}`, "randNumeric": `{{ randNumeric 20 }}`,
	"randBytes": `{{ randBytes 20 }}`, "randInt": `{{ randInt 0 1000000000 }}`, "shuffle": `{{ shuffle "abcdefghijklmnopqrstuvwxyz" }}`, "uuidv4": `{{ uuidv4 }}`,
	"genPrivateKey": `{{ genPrivateKey "ed25519" }}`, "genCA": `{{ (genCA "a" 1).Cert }}`, "genSelfSignedCert": `{{ (genSelfSignedCert "a" nil nil 1).Cert }}`,
	"genCAWithKey":             `{{ (genCAWithKey "a" 1 (genPrivateKey "ed25519")).Cert }}`,
	"genSelfSignedCertWithKey": `{{ (genSelfSignedCertWithKey "a" nil nil 1 (genPrivateKey "ed25519")).Cert }}`,
	"genSignedCert":            `{{ (genSignedCert "a" nil nil 1 (genCA "b" 1)).Cert }}`,
	"genSignedCertWithKey":     `{{ (genSignedCertWithKey "a" nil nil 1 (genCA "b" 1) (genPrivateKey "ed25519")).Cert }}`,
	"bcrypt":                   `{{ bcrypt "a" }}`, "htpasswd": `{{ htpasswd "a" "b" }}`, "encryptAES": `{{ encryptAES "k" "a" }}`,
	"now": `{{ now }}`, "ago": `{{ ago (toDate "2006" "2001") }}`, "date": `{{ date "2006-01-02" "x" }}`, "htmlDate": `{{ htmlDate "x" }}`,
	"dateInZone": `{{ dateInZone "2006-01-02" "x" "UTC" }}`, "date_in_zone": `{{ date_in_zone "2006-01-02" 1.5 "UTC" }}`, "htmlDateInZone": `{{ htmlDateInZone nil "UTC" }}`,
	"durationRound": `{{ durationRound (toDate "2006" "2001") }}`,
}

// sameHere are calls that depend on the machine or the cluster, of which a test has one.
var sameHere = map[string]string{
	"toDate": `{{ toDate "2006-01-02" "2020-01-02" }}`, "mustToDate": `{{ mustToDate "2006-01-02" "2020-01-02" }}`,
	"fromToml": `{{ fromToml "a = [{b = 1979-05-27}]" | len }}`,
	"lookup":   `{{ lookup "v1" "Secret" "a" "b" }}`, "getHostByName": `{{ getHostByName "example.com" }}`,
}

func TestEveryImpureCallIsNoted(t *testing.T) {
	t.Parallel()
	for name, text := range impureCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second, noted := twice(t, "a: b\n"+text+"\n")
			require.NotEqual(t, first, second)
			require.Contains(t, noted, manifest.ImpureCall{Function: name, Template: "web/templates/x.yaml", Line: 2})
		})
	}
	for name, text := range sameHere {
		_, _, noted := twice(t, "a: b\n"+text+"\n")
		require.Equal(t, []manifest.ImpureCall{{Function: name, Template: "web/templates/x.yaml", Line: 2}}, noted)
	}
	for _, name := range slices.Concat(impure, clocked) {
		require.True(t, impureCalls[name] != "" || sameHere[name] != "", name)
	}
}

// pure are calls of every function that is not impure, with arguments that have it do its work.
var pure = []string{
	`{{ hello }}{{ duration 90 }}{{ duration "90" }}{{ durationRound "90m" }}{{ durationRound 7200 }}`,
	`{{ dateInZone "2006-01-02T15:04:05" 1600000000 "UTC" }}{{ htmlDateInZone 1600000000 "UTC" }}{{ date_in_zone "2006" (int64 5) "Europe/Paris" }}`,
	`{{ abbrev 5 "hello world" }}{{ abbrevboth 5 10 "1234 5678 9123" }}{{ trunc 3 "abcdef" }}{{ trim " a " }}{{ upper "a" }}{{ lower "A" }}{{ title "a b" }}{{ untitle "A B" }}{{ substr 0 2 "abc" }}{{ repeat 2 "a" }}`,
	`{{ trimall "$" "$a$" }}{{ trimAll "$" "$a$" }}{{ trimSuffix "b" "ab" }}{{ trimPrefix "a" "ab" }}{{ nospace "a b" }}{{ initials "a b" }}{{ swapcase "aB" }}{{ snakecase "aB" }}{{ camelcase "a_b" }}{{ kebabcase "aB" }}`,
	`{{ wrap 3 "a b c d" }}{{ wrapWith 3 "|" "a b c d" }}{{ contains "a" "ab" }}{{ hasPrefix "a" "ab" }}{{ hasSuffix "b" "ab" }}{{ quote "a" }}{{ squote "a" }}{{ cat "a" 1 }}{{ indent 2 "a" }}{{ nindent 2 "a" }}{{ replace "a" "b" "a" }}{{ plural "a" "b" 2 }}`,
	`{{ sha1sum "a" }}{{ sha256sum "a" }}{{ sha512sum "a" }}{{ adler32sum "a" }}{{ toString 1 }}{{ atoi "1" }}{{ int64 "1" }}{{ int "1" }}{{ float64 "1" }}{{ seq 3 }}{{ toDecimal 777 }}`,
	`{{ split "," "a,b" }}{{ splitList "," "a,b" }}{{ splitn "," 2 "a,b,c" }}{{ toStrings (list 1 2) }}{{ until 3 }}{{ untilStep 0 4 2 }}`,
	`{{ add1 1 }}{{ add 1 2 }}{{ sub 1 2 }}{{ div 4 2 }}{{ mod 5 2 }}{{ mul 2 3 }}{{ add1f 1.5 }}{{ addf 1.5 2 }}{{ subf 1.5 2 }}{{ divf 1.5 2 }}{{ mulf 1.5 2 }}{{ biggest 1 2 }}{{ max 1 2 }}{{ min 1 2 }}{{ maxf 1.5 2 }}{{ minf 1.5 2 }}{{ ceil 1.5 }}{{ floor 1.5 }}{{ round 1.55 1 }}`,
	`{{ join "-" (list 1 2) }}{{ sortAlpha (list "b" "a") }}{{ default 1 nil }}{{ empty 1 }}{{ coalesce nil 1 }}{{ all 1 0 }}{{ any 1 0 }}{{ compact (list 1 nil) }}{{ mustCompact (list 1 nil) }}`,
	`{{ fromJson "{}" }}{{ toJson (dict "a" 1) }}{{ toPrettyJson (dict "a" 1) }}{{ toRawJson (dict "a" 1) }}{{ mustFromJson "{}" }}{{ mustToJson 1 }}{{ mustToPrettyJson 1 }}{{ mustToRawJson 1 }}{{ ternary 1 2 true }}{{ deepCopy (dict "a" 1) }}{{ mustDeepCopy (dict "a" 1) }}`,
	`{{ typeOf 1 }}{{ typeIs "int" 1 }}{{ typeIsLike "int" 1 }}{{ kindOf 1 }}{{ kindIs "int" 1 }}{{ deepEqual 1 1 }}`,
	`{{ base "a/b" }}{{ dir "a/b" }}{{ clean "a/../b" }}{{ ext "a.b" }}{{ isAbs "/a" }}{{ osBase "a/b" }}{{ osClean "a/b" }}{{ osDir "a/b" }}{{ osExt "a.b" }}{{ osIsAbs "/a" }}`,
	`{{ b64enc "a" }}{{ b64dec "YQ==" }}{{ b32enc "a" }}{{ b32dec "ME======" }}`,
	`{{ tuple 1 2 }}{{ list 1 2 }}{{ dict "a" 1 }}{{ get (dict "a" 1) "a" }}{{ set (dict) "a" 1 }}{{ unset (dict "a" 1) "a" }}{{ hasKey (dict "a" 1) "a" }}{{ pluck "a" (dict "a" 1) }}{{ pick (dict "a" 1) "a" }}{{ omit (dict "a" 1 "b" 2) "a" }}`,
	`{{ merge (dict "a" 1) (dict "b" 2) }}{{ mergeOverwrite (dict "a" 1) (dict "a" 2) }}{{ mustMerge (dict "a" 1) (dict "b" 2) }}{{ mustMergeOverwrite (dict "a" 1) (dict "a" 2) }}`,
	`{{ append (list 1) 2 }}{{ push (list 1) 2 }}{{ mustAppend (list 1) 2 }}{{ mustPush (list 1) 2 }}{{ prepend (list 1) 2 }}{{ mustPrepend (list 1) 2 }}{{ first (list 1) }}{{ mustFirst (list 1) }}{{ rest (list 1 2) }}{{ mustRest (list 1 2) }}{{ last (list 1) }}{{ mustLast (list 1) }}{{ initial (list 1 2) }}{{ mustInitial (list 1 2) }}`,
	`{{ reverse (list 1 2) }}{{ mustReverse (list 1 2) }}{{ uniq (list 1 1) }}{{ mustUniq (list 1 1) }}{{ without (list 1 2) 1 }}{{ mustWithout (list 1 2) 1 }}{{ has 1 (list 1) }}{{ mustHas 1 (list 1) }}{{ slice (list 1 2) 1 }}{{ mustSlice (list 1 2) 1 }}{{ concat (list 1) (list 2) }}{{ dig "a" 1 (dict "a" 2) }}{{ chunk 2 (list 1 2 3) }}{{ mustChunk 2 (list 1 2 3) }}`,
	`{{ eq 1 1 }}{{ ne 1 2 }}{{ eq nil (dict) }}{{ fromToml "a = 1" }}`,
	`{{ derivePassword 1 "long" "a" "b" "c" }}{{ decryptAES "k" "" | default "" }}`,
	`{{ semver "1.2.3" }}{{ semverCompare ">1" "1.2.3" }}{{ regexMatch "a" "a" }}{{ mustRegexMatch "a" "a" }}{{ regexFindAll "a" "aa" -1 }}{{ mustRegexFindAll "a" "aa" -1 }}{{ regexFind "a" "a" }}{{ mustRegexFind "a" "a" }}{{ regexReplaceAll "a" "a" "b" }}{{ mustRegexReplaceAll "a" "a" "b" }}{{ regexReplaceAllLiteral "a" "a" "b" }}{{ mustRegexReplaceAllLiteral "a" "a" "b" }}{{ regexSplit "a" "bab" -1 }}{{ mustRegexSplit "a" "bab" -1 }}{{ regexQuoteMeta "." }}`,
	`{{ urlParse "http://a/b" }}{{ urlJoin (dict "scheme" "http" "host" "a" "path" "/b") }}`,
	`{{ toYaml .Values.map }}{{ toYamlPretty .Values.map }}{{ fromYaml "a: 1" }}{{ fromYamlArray "[1]" }}{{ fromJsonArray "[1]" }}{{ toToml (dict "a" 1) }}{{ fromToml "a = 1" }}{{ required "a" 1 }}{{ include "part" . }}{{ tpl "{{ 1 }}" . }}`,
	`{{ print 1 }}{{ println 1 }}{{ printf "%d" 1 }}{{ html "<" }}{{ js "'" }}{{ urlquery "a b" }}{{ keys (dict "a" 1) | sortAlpha }}{{ values (dict "a" 1) | len }}`,
	`{{ if false }}{{ fail "a" }}{{ unixEpoch .x }}{{ dateModify "1h" .x }}{{ date_modify "1h" .x }}{{ must_date_modify "1h" .x }}{{ mustDateModify "1h" .x }}{{ buildCustomCert "a" "b" }}{{ now }}{{ end }}`,
}

// TestEveryOtherFunctionIsPure calls each function of Helm's that is not taken for impure, so that one which an upgrade brings
// is looked at before anything it renders is kept.
func TestEveryOtherFunctionIsPure(t *testing.T) {
	t.Parallel()
	for _, text := range pure {
		first, second, noted := twice(t, text)
		require.Equal(t, first, second, text)
		require.Empty(t, noted, text)
	}
	all := strings.Join(pure, "")
	known := marked()
	for _, name := range slices.Sorted(maps.Keys(functionsOf().options.Functions)) {
		if _, ok := known[name]; ok {
			continue
		}
		require.Regexp(t, `[{(] ?`+name+`[ )]`, all, "the function %s is new: is its result a function of its arguments? Then give it a call here, "+
			"else put it into impure", name)
	}
}

func TestImpureCallsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	const file = "web/templates/x.yaml"
	call := func(function string, line int) manifest.ImpureCall {
		return manifest.ImpureCall{Function: function, Template: file, Line: line}
	}
	keys := func(line int) manifest.ImpureCall {
		return manifest.ImpureCall{Function: "keys", Template: file, Line: line, Unordered: true}
	}
	tests := map[string]struct {
		text string
		want []manifest.ImpureCall
	}{
		"each place once, in order": {"{{ range until 3 }}\n{{ uuidv4 }}{{ uuidv4 }}{{ end }}\n{{ now }}", []manifest.ImpureCall{call("uuidv4", 2), call("now", 3)}},
		"one that is not reached":   {"{{ if false }}{{ now }}{{ end }}", nil},
		"in an action of many lines": {"{{ $x := dict\n  \"a\" (randAlpha 3)\n  \"b\" (now | date \"2006\")\n}}",
			[]manifest.ImpureCall{call("randAlpha", 2), call("date", 3), call("now", 3)}},
		"as a condition":                      {"\n{{ if now }}x{{ else if randAlpha 1 }}{{ end }}{{ with uuidv4 }}{{ end }}\n{{ range list now }}{{ end }}", []manifest.ImpureCall{call("now", 2), call("uuidv4", 2), call("now", 3)}},
		"in an include":                       {"{{ include \"r\" . }}\n\n{{ define \"r\" }}\n{{ randAlpha 3 }}{{ end }}", []manifest.ImpureCall{call("randAlpha", 4)}},
		"after an include":                    {"{{ define \"r\" }}{{ now }}{{ end }}\n{{ include \"r\" . | printf \"%s%s\" uuidv4 }}", []manifest.ImpureCall{call("now", 1), call("uuidv4", 2)}},
		"in a text given to tpl":              {"\n{{ tpl \"\\n{{ now }}\" . }}", []manifest.ImpureCall{call("now", 2)}},
		"in a text given to tpl, by include":  {"\n{{ define \"r\" }}{{ now }}{{ end }}\n{{ tpl \"{{ include \\\"r\\\" . }}{{ uuidv4 }}\" . }}", []manifest.ImpureCall{call("now", 2), call("uuidv4", 3)}},
		"an argument of a template":           {"{{ template \"part2\" now }}{{ define \"part2\" }}{{ . }}{{ end }}", []manifest.ImpureCall{call("now", 1)}},
		"keys in any order":                   {"{{ keys .Values | join \",\" }}", []manifest.ImpureCall{keys(1)}},
		"keys that are sorted":                {"{{ keys .Values | sortAlpha }}{{ keys .Values | uniq | sortAlpha }}{{ sortAlpha (keys .Values) }}{{ has \"a\" (keys .Values) }}{{ len (keys .Values) }}{{ keys .Values | len }}", nil},
		"keys that are sorted in parentheses": {"{{ range (keys .Values | uniq | sortAlpha) }}{{ end }}{{ first (keys .Values | sortAlpha) }}", nil},
		"keys in any order after sorted ones": {"{{ keys .Values | sortAlpha }}\n{{ first (keys .Values) }}", []manifest.ImpureCall{keys(2)}},
		"sorted keys after some in any order": {"{{ first (keys .Values) }}\n{{ keys .Values | sortAlpha }}", []manifest.ImpureCall{keys(1)}},
		"keys in a text given to tpl":         {"{{ tpl \"{{ keys .Values | first }}\" . }}{{ tpl \"{{ keys .Values | sortAlpha }}\" . }}", []manifest.ImpureCall{keys(1)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, noted := twice(t, tt.text)
			require.Equal(t, tt.want, noted, tt.text)
		})
	}
}

// Helm's engine lists a map in a random order; what we render must be the same each time, since it is compared.
func TestKeysAndValuesCameInRandomOrder(t *testing.T) {
	t.Parallel()
	var d strings.Builder
	for i := range 20 {
		fmt.Fprintf(&d, " \"k%02d\" %d", i, i)
	}
	first, second, _ := twice(t, "{{ keys (dict"+d.String()+") }}{{ values (dict"+d.String()+") }}{{ keys (dict) | toJson }}")
	require.Equal(t, first, second)
	require.Contains(t, first, "[k00 k01 k02")
	require.Contains(t, first, "[0 1 2")
	require.Contains(t, first, "][0 1", first)
	require.True(t, strings.HasSuffix(first, "[]"), first)
}
