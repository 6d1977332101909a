package yaml

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/redkubes/otomi/testdata/bound"
	"github.com/stretchr/testify/require"
	sigs "sigs.k8s.io/yaml"
)

// quickSamples are texts that quickDecode reads; each is a manifest's way of writing something.
var quickSamples = []string{
	"a: 1\n", "a: 1\nb:\n  c: d\n  e:\n  - f\n  - g: h\n    i: j\n", "a:\n- b: c\n  d:\n    e: f\n-   g: 1\n    h: 2\n", "a: |\n  x\n   y\n\n  z\n\nb: 1\n",
	"a: |-\n  x\n\n\nb: |+\n  y\n\nc: d", "a: 'it is'\nb: \"x\" # c\nc: d # e\nd: a#b\n", "# c\na:\n\n  # d\n  b: 1\n", "a: 0x1f\nb: 1e3\nc: .5\nd: 2020-01-01\ne: yes\nf: ~\ng: null\nh:\n",
	"'a': b\n\"c\": d\n", "a: {}\nb: []\n", "a/b.c: http://x:80/y\nd: -1\ne: --f\n", "a: 18446744073709551615\nb: 9223372036854775807\nc: -0.0\n", "a:\n  b: |\n    x\n  c: 1\n",
	"a:\n- |\n  x\n- y\n", "a: [b, 'c d', \"e\", 1, yes, null, a/b.c-d]\nf: [1 , 2 ]\n",
}

func TestQuickReadsManifests(t *testing.T) {
	t.Parallel()
	for _, text := range quickSamples {
		_, ok := quickDecode([]byte(text))
		require.True(t, ok, text)
		sameDecoding(t, []byte(text))
	}
}

func sameDecoding(t *testing.T, text []byte) {
	t.Helper()
	got, ok := quickDecode(text)
	if !ok {
		return
	}
	var want any
	require.NoError(t, sigs.Unmarshal(text, &want), "%q", text)
	require.Equal(t, want, got, "%q", text)
}

// FuzzDecode compares the quick reading with the library's.
func FuzzDecode(f *testing.F) {
	for _, text := range quickSamples {
		f.Add(text)
	}
	for _, text := range []string{
		"a: b\n c\n", "a:\n  - b\n c: d\n", "a: b: c\n", "- a\n", "a: |2\n  x\n", "a: |\n\n   x\n  y\n", "a: >\n x\n", "a: &b c\nd: *b\n", "a: !!str 1\n", "a: 1\na: 2\n", "1: a\n", "<<: {}\n",
		"a: 'b\n  c'\n", "a: \"b\\n\"\n", "a: [b, c]\n", "a:\n\tb\n", "---\na: b\n", "a: b\n---\nc: d\n", "a: b\n...\n", "%YAML\n", "a: |\n x\n#c\n y\n", "a: \n  |\n  b\n", "a:\n  b\n", "? a\n: b\n", "a : b\n",
		"a: |\n  x\n \nb: 1\n", "a: |\n  x\n  #c\n #d\nb: 1\n", "- - a\n", "a:\n-\n  b: c\n", "a: |\n  b\n    ", "a:\n  - b: |\n     c\n    d: e\n", "a: -\n", "a: -b\n", "- a: b\n", "a: b #c\n", "a: '' ''\n", "a: ''''\n", "a: [b c]\n", "a: [b,]\n", "a: [b: c]\n", "a: ['b': c]\n", "a: [b] # c\n", "a: ['b'c]\n", "a: [b]]\n", "a: [.inf]\n", "a: [0b1, -1]\n", "a: ['b''c']\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bound.Run(t, text, func() { sameDecoding(t, []byte(text)) })
	})
}

// FuzzMarshal compares the quick writing with the library's, on whatever JSON can hold.
func FuzzMarshal(f *testing.F) {
	for _, text := range []string{
		`{"a":1,"b":[1,"x",{"c":null}],"d":{},"e":[]}`, `"x"`, `["a: b","#c","- d","e:","yes","1","0x1","2020-01-01","1:20","","~"," a","a "]`, `{"10":1,"9":2,"a10":3,"a9":4,"a-b":5,"aB":6,"_":7,".":8}`,
		`{"a":"x\ny\n","b":"x\n","c":"x\ny","d":"\nx","e":" x\ny","f":"x\n\n","g":"x \ny"}`, `[[1,[2]],[[]],[{"a":[1]}],{"b":{"c":[{"d":1,"e":2}]}}]`, `[1.5,1e21,1e-7,-0.0,123456789.5,1e15,0.1]`,
		`{"a":"word word word word word word word word word word word word word word word word word word word word word word"}`, `{"10":1,"9":2,"a10":3,"a9":4,"a1A":0,"00":8,"0":0}`, `["it's","\"q\"","a\\b","'","!x","&y","*z","%a","@b"]`,
		`{"b":["#word word word word word word word word word word word word word word word word word word word word"]}`, `{"c":"#word: word word word word word word word word word word word word word \"word\" word word word word word"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			return
		}
		bound.Run(t, text, func() {
			got, ok := quickMarshal(v)
			if !ok {
				return
			}
			var want []byte
			// The library's order of keys has circles, in which it writes a random one.
			for range 32 {
				var err error
				want, err = sigs.Marshal(v)
				require.NoError(t, err, "%q", text)
				if string(want) == string(got) {
					return
				}
			}
			require.Equal(t, string(want), string(got), "%q", text)
		})
	})
}

func TestQuickWritesValues(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		map[string]any{"a": 1.0, "b": []any{"x", int64(3), 4, true, nil, map[string]any{"c": "d", "e": []any{1.5}}}},
		map[string]any{"command": "a line that is folded since it has more than eighty characters in it, and one word more, and more"},
		map[string]any{"text": "a: b\nc: d\n", "n": "10", "yes": "no"},
	} {
		got, ok := quickMarshal(v)
		require.True(t, ok, fmt.Sprint(v))
		want, err := sigs.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
}
