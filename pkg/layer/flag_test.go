package layer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

func TestAssignmentsReadWhatHelmfileReads(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		texts   []string
		want    string
		strings string // with --state-values-set-string; "" is the same
	}{
		"keys":                {texts: []string{"a.b=x,c=y"}, want: `{"a":{"b":"x"},"c":"y"}`},
		"dot in a key":        {texts: []string{`a\.b.c=x`}, want: `{"a.b":{"c":"x"}}`},
		"list with a gap":     {texts: []string{"a[2]=x"}, want: `{"a":[null,null,"x"]}`},
		"list in pieces":      {texts: []string{"a[1]=x", "a[0]=y"}, want: `{"a":["y","x"]}`},
		"maps in lists":       {texts: []string{"a[0].b=x,a[0].c[1]=y"}, want: `{"a":[{"b":"x","c":[null,"y"]}]}`},
		"lists in lists":      {texts: []string{"a[0][1]=x"}, want: `{"a":[[null,"x"]]}`},
		"booleans":            {texts: []string{"a=true,b=FALSE,c=yes"}, want: `{"a":true,"b":false,"c":"yes"}`, strings: `{"a":"true","b":"FALSE","c":"yes"}`},
		"null":                {texts: []string{"a=null,b=Null,c=~"}, want: `{"a":null,"b":null,"c":"~"}`, strings: `{"a":"null","b":"Null","c":"~"}`},
		"numbers":             {texts: []string{"a=0,b=12,c=-3,d=012,e=1.5,f=+4,g=1e3"}, want: `{"a":0,"b":12,"c":-3,"d":"012","e":"1.5","f":4,"g":"1e3"}`, strings: `{"a":"0","b":"12","c":"-3","d":"012","e":"1.5","f":"+4","g":"1e3"}`},
		"number past int64":   {texts: []string{"a=9223372036854775808"}, want: `{"a":"9223372036854775808"}`},
		"first = ends a path": {texts: []string{"a=b=c,d=="}, want: `{"a":"b=c","d":"="}`},
		"quotes stay":         {texts: []string{`a="x",b='y'`}, want: `{"a":"\"x\"","b":"'y'"}`},
		"empty value":         {texts: []string{"a="}, want: `{"a":""}`, strings: "-"},
		"the last wins":       {texts: []string{"a=1,a=2", "a=3"}, want: `{"a":3}`, strings: `{"a":"3"}`},
		"a value for a map":   {texts: []string{"a.b=x,a=y"}, want: `{"a":"y"}`},
		"a map for null":      {texts: []string{"a=null,a.b=x"}, want: `{"a":{"b":"x"}}`, strings: "-"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for flag, want := range map[string]string{Set: tt.want, SetString: tt.strings} {
				if want == "-" {
					continue
				}
				if want == "" {
					want = tt.want
				}
				l, diags := Assignments(flag, tt.texts)
				require.Empty(t, diags)
				require.Equal(t, flag, l.Name)
				require.True(t, l.Flag)
				got, err := json.Marshal(l.Root.Plain())
				require.NoError(t, err)
				require.JSONEq(t, want, string(got), flag)
				l.Root.Walk(func(_ value.Path, n *value.Node) bool {
					require.Equal(t, value.Origin{Layer: flag}, n.Origin)
					return true
				})
			}
		})
	}
}

// The results are those of helmfile 1.7.2 (print-env), but for what is refused here.
func TestStringAssignmentsAreHelmfilesOwnGrammar(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`a="x,y",b=2`: `{"a":"\"x,y\"","b":"2"}`,
		`a='x,y'`:     `{"a":"'x,y'"}`,
		`a="x`:        `{"a":"\"x"}`,
		`a=b"c,d=e"`:  `{"a":"b\"c","d":"e\""}`,
		`a=,b=1`:      `{"b":"1"}`,
		`a= 1`:        `{"a":" 1"}`,
		` a=1`:        "a path has no blanks",
		`a=1, b=2`:    "a path has no blanks",
		`a=1,`:        "there is no value",
		`a`:           "there is no value",
		`a..b=1`:      "a key is empty",
		`a[x]=1`:      "is no index",
	} {
		l, diags := Assignments(SetString, []string{text})
		if !strings.HasPrefix(want, "{") {
			require.Len(t, diags, 1, text)
			require.Contains(t, diags[0].Detail, want, text)
			continue
		}
		require.False(t, diags.HasErrors(), text)
		got, err := json.Marshal(l.Root.Plain())
		require.NoError(t, err)
		require.JSONEq(t, want, string(got), text)
	}
}

func TestAssignmentsRememberWhatTheyBeat(t *testing.T) {
	t.Parallel()
	l, diags := Assignments(Set, []string{"a=1,a=2", "a=3"})
	require.Empty(t, diags)
	a := l.Root.Get("a")
	require.Len(t, a.Overrides, 2)
	require.Equal(t, int64(2), a.Overrides[0].Scalar)
	require.Equal(t, int64(1), a.Overrides[1].Scalar)
	require.Empty(t, a.Overrides[0].Overrides)
}

func TestMalformedAssignmentsShowNoValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                            "there is no value",
		"":                             "there is no value",
		"a=x,hush-hush":                "there is no value",
		"=hush-hush":                   "begins with a key",
		"[0]=hush-hush":                "begins with a key",
		"a..b=hush-hush":               "a key is empty",
		"a[x]=hush-hush":               "is no index",
		"a=hush-hush,a.b=hush-hush":    "an earlier assignment makes a a string, and here it would be a map",
		"a[0]=hush-hush,a.b=hush-hush": "an earlier assignment makes a a list",
		"a[99999999]=hush-hush":        "is no index",
	} {
		_, diags := Assignments(Set, []string{text})
		require.Len(t, diags, 1, text)
		require.Equal(t, diag.ValuesFlag, diags[0].Code)
		require.Contains(t, diags[0].Detail, want)
		if text != "a=x,hush-hush" { // there it is taken for a path
			require.NotContains(t, diags[0].Detail, "hush-hush")
		}
	}
}

func TestAFileOfTheCommandLineIsALayer(t *testing.T) {
	t.Parallel()
	l, diags := File("../x/secrets.more.yaml", []byte("a: 1\n"))
	require.Empty(t, diags)
	require.Equal(t, "../x/secrets.more.yaml", l.Name)
	require.True(t, l.Secret)
	require.Equal(t, "../x/secrets.more.yaml:1:4", l.Root.Get("a").Origin.Range.String())
	l, _ = File("schema", []byte("a: 1\n"))
	require.Equal(t, "./schema", l.Name, "a file named like a layer that is no file")
	l, diags = File("x", []byte("a: {}\na: {}\n"))
	require.True(t, diags.HasErrors())
	l, diags = File("x", []byte("sops: {}\n"))
	require.Nil(t, l.Root)
	require.Equal(t, diag.SecretEncrypted, diags[0].Code)
}

func FuzzAssignments(f *testing.F) {
	for _, seed := range []string{"a.b[0]=x,a.b[2].c=true", `a\.b=012`, "a=1,a.b=2", "a[65536]=x", "=,=", "a=b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[") > 4 {
			t.Skip("too many indexes: each may ask for 65,536 items")
		}
		l, diags := Assignments(Set, []string{text})
		require.NotNil(t, l.Root)
		if len(diags) == 0 {
			require.NotEmpty(t, l.Root.Fields)
		}
	})
}
