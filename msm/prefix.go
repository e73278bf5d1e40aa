package msm

// storagePrefix makes the prefix of a manager's storage keys from
// Config.StorageKeyPrefix ("" means "context,webappVersion") and what its
// tokens stand for. Its error names the field and the fix.
func storagePrefix(tokens, host, context, version string) (string, error) { return "", nil }
