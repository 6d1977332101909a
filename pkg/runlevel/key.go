package runlevel

import "strings"

// The keys of a helmfile state file (helmfile 1.7, pkg/state: ReleaseSetSpec, ReleaseSpec, HelmSpec). The first of each
// pair are those that are read here; the others exist in helmfile and are refused by name, so that nothing a user wrote
// goes without effect and without a word.
var (
	stateKeys = keySet{
		read: words("releases helmDefaults commonLabels repositories"),
		known: words(`environments bases values templates helmfiles hooks missingFileHandler
			missingFileHandlerConfig defaultInherit apiVersions kubeVersion helmBinary kustomizeBinary lockFilePath namespace
			kubeContext chart llm`),
	}
	releaseKeys = keySet{
		read: words(`name namespace chart version values installed needs labels condition wait timeout createNamespace devel verify
			keyring plainHttp insecureSkipTLSVerify`),
		known: words(`kubeContext description directory chartPath secrets set setString valuesTemplate setTemplate
			valuesPathPrefix env missingFileHandler missingFileHandlerConfig inherit installedTemplate conditionTemplate
			waitTemplate verifyTemplate waitForJobs atomic cleanupOnFail force historyMax recreatePods reuseValues
			skipDeps skipRefresh disableValidation disableValidationOnInstall disableOpenAPIValidation postRenderer
			postRendererArgs skipSchemaValidation enableDNS takeOwnership cascade deleteWait
			deleteTimeout updateStrategy syncReleaseLabels rollbackOnFailure forceConflicts serverSide waitRetries suppressDiff
			suppressOutputLineRegex disableAutoDetectedKubeVersionForDiff apiVersions kubeVersion dependencies jsonPatches
			strategicMergePatches transformers forceNamespace forceGoGetter adopt hooks trackMode trackTimeout trackLogs
			trackFailedLogs trackKinds skipKinds trackResources kubedogQPS kubedogBurst trackFailOnError helmStuckGrace
			unitTests`),
	}
	defaultsKeys = keySet{
		read: words("wait timeout createNamespace"),
		known: words(`kubeContext waitForJobs atomic cleanupOnFail force historyMax args diffArgs syncArgs templateArgs
			skipDeps skipRefresh recreatePods reuseValues verify keyring devel enableDNS skipCRDs postRenderer postRendererArgs
			cascade suppressOutputLineRegex disableValidation disableOpenAPIValidation insecureSkipTLSVerify plainHttp deleteWait
			deleteTimeout syncReleaseLabels takeOwnership skipSchemaValidation disableAutoDetectedKubeVersionForDiff serverSide
			rollbackOnFailure forceConflicts trackMode helmStuckGrace waitRetries`),
	}
)

// repositoryKeys are those of an entry of `repositories`.
var repositoryKeys = keySet{
	read: words(`name url oci username password passCredentials caFile certFile keyFile skipTLSVerify plainHttp verify
		keyring`),
	known: words("managed registryConfig"),
}

// keySet are the keys that a map may have.
type keySet struct{ read, known []string }

func words(s string) []string { return strings.Fields(s) }
