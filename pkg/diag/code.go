package diag

import "slices"

// Code is the stable name of a kind of problem. Tools filter by it; its summary never changes with the instance.
type Code string

// The codes, by the part of the input that they are about.
const (
	YAMLSyntax           Code = "yaml/syntax"
	YAMLEncoding         Code = "yaml/encoding"
	YAMLDuplicateKey     Code = "yaml/duplicate-key"
	YAMLNonStringKey     Code = "yaml/non-string-key"
	YAMLSeveralDocuments Code = "yaml/several-documents"
	YAMLUnknownTag       Code = "yaml/unknown-tag"
	YAMLAmbiguousBoolean Code = "yaml/ambiguous-boolean"
	YAMLLeadingZero      Code = "yaml/leading-zero"
	YAMLTooLarge         Code = "yaml/too-large"
	YAMLBadAlias         Code = "yaml/bad-alias"
	YAMLMergeOrder       Code = "yaml/merge-order"

	RepoUnknownKey     Code = "repository/unknown-key"
	RepoWrongType      Code = "repository/wrong-type"
	RepoVersion        Code = "repository/version"
	RepoMissing        Code = "repository/missing"
	StackMissing       Code = "repository/missing-stack"
	RepoBadPattern     Code = "repository/bad-pattern"
	RepoUnreadable     Code = "repository/unreadable-file"
	ClusterUnknown     Code = "cluster/unknown"
	ClusterNotNamed    Code = "cluster/not-named"
	ClusterNoRegistry  Code = "cluster/no-registry"
	ClusterInvalidName Code = "cluster/invalid-name"
	BootstrapAnswer    Code = "bootstrap/answer"

	ValuesRootNotMap      Code = "values/root-not-a-map"
	ValuesTypeConflict    Code = "values/type-conflict"
	ValuesUnknownKey      Code = "values/unknown-key"
	ValuesWrongType       Code = "values/wrong-type"
	ValuesMissing         Code = "values/missing"
	ValuesNotAllowed      Code = "values/not-allowed"
	ValuesPattern         Code = "values/pattern"
	ValuesRange           Code = "values/range"
	ValuesFormat          Code = "values/format"
	ValuesNoBranch        Code = "values/no-branch"
	ValuesInvalid         Code = "values/invalid"
	ValuesFloatNotation   Code = "values/float-notation"
	ValuesDuplicateItem   Code = "values/duplicate-item"
	ValuesDeprecated      Code = "values/deprecated"
	ValuesFlag            Code = "values/malformed-flag"
	ValuesNoPath          Code = "values/unknown-path"
	SecretEncrypted       Code = "secret/encrypted"
	SchemaInvalid         Code = "schema/invalid"
	SchemaMissing         Code = "schema/missing"
	SchemaBadPattern      Code = "schema/bad-pattern"
	SchemaUnresolvableRef Code = "schema/unresolvable-ref"
	SchemaWrongType       Code = "schema/wrong-type"
	SchemaUnknownKeyword  Code = "schema/unknown-keyword"
	SchemaOtherDraft      Code = "schema/other-draft"
	SchemaIgnoredKeyword  Code = "schema/ignored-keyword"
	SchemaMisplaced       Code = "schema/misplaced-keyword"
	SchemaImpossible      Code = "schema/impossible"
	SchemaUnfitValue      Code = "schema/unfit-value"
	SchemaBudget          Code = "schema/budget"

	LintUnusedKey      Code = "lint/unused-key"
	LintRedundantValue Code = "lint/redundant-value"
	LintCouldMoveUp    Code = "lint/could-move-up"

	TemplateSyntax    Code = "template/syntax"
	TemplateExecution Code = "template/execution"
	TemplateUndefined Code = "template/undefined-value"
	TemplateForbidden Code = "template/forbidden"
	TemplateBudget    Code = "template/budget"

	HCLInvalid Code = "hcl/invalid"

	RunlevelUnknownKey  Code = "runlevel/unknown-key"
	RunlevelWrongType   Code = "runlevel/wrong-type"
	RunlevelMissing     Code = "runlevel/missing"
	RunlevelInvalid     Code = "runlevel/invalid-value"
	RunlevelDuplicate   Code = "runlevel/duplicate-release"
	RunlevelNeedUnknown Code = "runlevel/unknown-need"
	RunlevelNeedCycle   Code = "runlevel/need-cycle"
	RunlevelNeedLater   Code = "runlevel/later-need"
	RunlevelNeedAbsent  Code = "runlevel/need-not-installed"
	RunlevelUnsupported Code = "runlevel/unsupported"
	RunlevelNone        Code = "runlevel/none"
	RunlevelRemote      Code = "runlevel/remote"
	RunlevelSameName    Code = "runlevel/same-name"
	RunlevelRepoUnknown Code = "runlevel/unknown-repository"
	SelectorMalformed   Code = "selector/malformed"

	ChartMissing      Code = "chart/missing"
	ChartInvalid      Code = "chart/invalid"
	ChartUnsupported  Code = "chart/unsupported-source"
	ChartIncompatible Code = "chart/incompatible"
	ChartBudget       Code = "chart/budget"
	ChartUnsafe       Code = "chart/unsafe"
	ChartNotLocked    Code = "chart/not-locked"
	ChartNotFetched   Code = "chart/not-fetched"
	ChartLockInvalid  Code = "chart/invalid-lock"
	ChartDependency   Code = "chart/dependency"
	ChartRefusedHost  Code = "chart/refused-host"
	ChartInsecure     Code = "chart/insecure-source"
	ChartUnauthorized Code = "chart/unauthorized"
	ChartNoVersion    Code = "chart/no-version"
	ChartDigest       Code = "chart/digest"
	ChartTooLarge     Code = "chart/too-large"
	ChartProvenance   Code = "chart/provenance"
	ChartIndex        Code = "chart/index"
	ChartCredentials  Code = "chart/credentials"
	RenderTemplate    Code = "render/template"
	RenderNotYAML     Code = "render/not-yaml"
	RenderNotObject   Code = "render/not-an-object"
	RenderDuplicate   Code = "render/duplicate-object"
	RenderUnknownHook Code = "render/unknown-hook"
	RenderValues      Code = "render/values-schema"
	RenderImpure      Code = "render/impure"
	RenderUnsettled   Code = "render/unsettled"

	ManifestUnknownField   Code = "manifest/unknown-field"
	ManifestWrongType      Code = "manifest/wrong-type"
	ManifestMissingField   Code = "manifest/missing-field"
	ManifestInvalidValue   Code = "manifest/invalid-value"
	ManifestUnknownKind    Code = "manifest/unknown-kind"
	ManifestRemovedVersion Code = "manifest/removed-version"
	ManifestNoSchema       Code = "manifest/no-schema"
	ManifestOtherVersion   Code = "manifest/other-version"
	PlanUnreadable         Code = "plan/unreadable"
	PlanSecret             Code = "plan/secret-flag"
	TransformFailed        Code = "transform/failed"
	ProgramForbidden       Code = "program/forbidden"
	ProgramFailed          Code = "program/failed"
)

// summaries holds the fixed words of each code. A reader learns them and skips them, so they name no instance.
var summaries = map[Code]string{
	YAMLSyntax:           "invalid YAML",
	YAMLEncoding:         "not UTF-8 text",
	YAMLDuplicateKey:     "duplicate key",
	YAMLNonStringKey:     "key is not a string",
	YAMLSeveralDocuments: "several documents in one file",
	YAMLUnknownTag:       "unknown YAML tag",
	YAMLAmbiguousBoolean: "ambiguous boolean",
	YAMLLeadingZero:      "number with a leading zero",
	YAMLTooLarge:         "input over its budget",
	YAMLBadAlias:         "invalid alias",
	YAMLMergeOrder:       "merge key after the keys it beats",

	RepoUnknownKey:     "unknown key in a repository file",
	RepoWrongType:      "wrong type in a repository file",
	RepoVersion:        "unsupported version",
	RepoMissing:        "not a values repository",
	StackMissing:       "no such stack",
	RepoBadPattern:     "invalid pattern",
	RepoUnreadable:     "unreadable file",
	ClusterUnknown:     "unknown cluster",
	ClusterNotNamed:    "no cluster named",
	ClusterNoRegistry:  "no registry of clusters",
	ClusterInvalidName: "invalid name of a cloud or cluster",
	BootstrapAnswer:    "unusable answer",

	ValuesRootNotMap:      "values are not a map",
	ValuesTypeConflict:    "conflicting types",
	ValuesUnknownKey:      "unknown key",
	ValuesWrongType:       "wrong type",
	ValuesMissing:         "missing value",
	ValuesNotAllowed:      "value not allowed",
	ValuesPattern:         "value does not match its pattern",
	ValuesRange:           "value out of range",
	ValuesFormat:          "value not in its format",
	ValuesNoBranch:        "value fits none of the alternatives",
	ValuesInvalid:         "invalid value",
	ValuesFloatNotation:   "integer changes its notation",
	ValuesDuplicateItem:   "items of one list have the same key",
	ValuesDeprecated:      "deprecated value",
	ValuesFlag:            "malformed value of a flag",
	ValuesNoPath:          "unknown path",
	SecretEncrypted:       "encrypted file",
	SchemaInvalid:         "invalid schema",
	SchemaMissing:         "missing schema",
	SchemaBadPattern:      "unsupported pattern in the schema",
	SchemaUnresolvableRef: "unresolvable reference in the schema",
	SchemaWrongType:       "wrong type of a keyword in the schema",
	SchemaUnknownKeyword:  "unknown keyword in the schema",
	SchemaOtherDraft:      "keyword of another draft in the schema",
	SchemaIgnoredKeyword:  "keyword without effect in the schema",
	SchemaMisplaced:       "keyword in the wrong place of the schema",
	SchemaImpossible:      "no value fits the schema here",
	SchemaUnfitValue:      "value of the schema does not fit it",
	SchemaBudget:          "schema over its budget",

	LintUnusedKey:      "unused key",
	LintRedundantValue: "redundant value",
	LintCouldMoveUp:    "value could move up",

	TemplateSyntax:    "invalid template",
	TemplateExecution: "template failed",
	TemplateUndefined: "undefined value",
	TemplateForbidden: "template function not allowed",
	TemplateBudget:    "template over its budget",

	RunlevelUnknownKey:  "unknown key in a runlevel",
	RunlevelWrongType:   "wrong type in a runlevel",
	RunlevelMissing:     "missing key in a runlevel",
	RunlevelInvalid:     "invalid value in a runlevel",
	RunlevelDuplicate:   "duplicate release",
	RunlevelNeedUnknown: "unknown release needed",
	RunlevelNeedCycle:   "releases need each other",
	RunlevelNeedLater:   "release of a later runlevel needed",
	RunlevelNeedAbsent:  "needed release is not installed",
	RunlevelUnsupported: "unsupported key in a runlevel",
	HCLInvalid:          "values in HCL that can't be read",
	RunlevelRemote:      "remote file that can't be had",
	RunlevelNone:        "no runlevels",
	RunlevelSameName:    "runlevels of the same name",
	RunlevelRepoUnknown: "unknown repository of charts",
	SelectorMalformed:   "malformed selector",

	ChartMissing:      "chart not found",
	ChartInvalid:      "invalid chart",
	ChartUnsupported:  "unsupported chart source",
	ChartIncompatible: "chart does not fit the cluster",
	ChartBudget:       "chart over its budget",
	ChartUnsafe:       "chart with what no chart may have",
	ChartNotLocked:    "chart is not locked",
	ChartNotFetched:   "chart is not here",
	ChartLockInvalid:  "invalid charts.lock",
	ChartDependency:   "dependency of a chart not found",
	ChartRefusedHost:  "host not allowed",
	ChartInsecure:     "chart source without encryption",
	ChartUnauthorized: "credentials missing or not accepted",
	ChartNoVersion:    "no such version of the chart",
	ChartDigest:       "chart is not the one expected",
	ChartTooLarge:     "download over its budget",
	ChartProvenance:   "chart without valid provenance",
	ChartIndex:        "invalid index of a repository",
	ChartCredentials:  "unusable credential file",
	RenderTemplate:    "chart template failed",
	RenderNotYAML:     "rendered text is not YAML",
	RenderNotObject:   "rendered text is no Kubernetes object",
	RenderDuplicate:   "object rendered twice",
	RenderUnknownHook: "unknown kind of hook",
	RenderValues:      "values do not fit the chart's schema",
	RenderImpure:      "something else at every render",
	RenderUnsettled:   "another definition at every render",

	ManifestUnknownField:   "unknown field in a manifest",
	ManifestWrongType:      "wrong type in a manifest",
	ManifestMissingField:   "missing field in a manifest",
	ManifestInvalidValue:   "invalid value in a manifest",
	ManifestUnknownKind:    "unknown kind of object",
	ManifestRemovedVersion: "removed version of an API",
	ManifestNoSchema:       "kind without a schema",
	ManifestOtherVersion:   "no schemas of this Kubernetes",
	PlanUnreadable:         "plan file can't be used",
	PlanSecret:             "secret in a flag",
	TransformFailed:        "manifests can't be changed",
	ProgramForbidden:       "program not allowed",
	ProgramFailed:          "program failed",
}

// Summary returns the fixed words of the code.
func (c Code) Summary() string { return summaries[c] }

// Codes returns every code in order.
func Codes() []Code {
	codes := make([]Code, 0, len(summaries))
	for c := range summaries {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	return codes
}
