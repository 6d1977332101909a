package manifest

import (
	"slices"
	"strings"
)

// LogPolicyAnnotation says when the logs of a hook are shown: hook-succeeded, hook-failed, or both with a comma between them
// (helm.sh/helm/v3/pkg/release.HookOutputLogAnnotation).
const LogPolicyAnnotation = "helm.sh/hook-output-log-policy"

// LogPolicies are those of the annotation, in Helm's words.
func (h Hook) LogPolicies() []string {
	metadata, _ := h.Data["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	text, _ := annotations[LogPolicyAnnotation].(string)
	var out []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.ToLower(strings.TrimSpace(word)); word != "" {
			out = append(out, word)
		}
	}
	return out
}

// Logs reports whether the logs of the hook are shown once it succeeded (HookSucceeded) or failed (HookFailed).
func (h Hook) Logs(when DeletePolicy) bool { return slices.Contains(h.LogPolicies(), string(when)) }
