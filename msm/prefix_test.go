package msm

import (
	"strings"
	"testing"
)

func TestID03_StorageKeyPrefix(t *testing.T) {
	for _, tc := range []struct {
		name, reason                 string
		tokens, host, context, versn string
		want                         string
	}{
		{"static", "the text itself", "static:x", "hst", "ctxt", "001", "x_"},
		{"host", "the virtual host", "host", "hst", "ctxt", "001", "hst_"},
		{"host.hash", "8 digits of SHA-256", "host.hash", "hst", "ctxt", "001", "e93c085e_"},
		{"context", "the path", "context", "hst", "ctxt", "001", "ctxt_"},
		{"context.hash", "8 digits of SHA-256", "context.hash", "hst", "ctxt", "001", "45e6345f_"},
		{"host and context", "joined by a colon", "host,context", "hst", "ctxt", "001", "hst:ctxt_"},
		{"empty context", "left out", "host,context", "hst", "", "001", "hst_"},
		{"blank context", "left out", "host,context", "hst", " ", "001", "hst_"},
		{"all hashes", "MSM's own test", "host.hash,context.hash,webappVersion", "hst", "ctxt", "001", "e93c085e:45e6345f:001_"},
		{"hash of ROOT", "whose name is empty", "context.hash", "hst", "", "", "e3b0c442_"},
		{"version", "alone, MSM's default", "webappVersion", "hst", "ctxt", "001", "001_"},
		{"no version", "no prefix", "webappVersion", "hst", "ctxt", "", ""},
		{"default", "context and version", "", "hst", "/app", "1.0", "/app:1.0_"},
		{"default of ROOT", "no prefix", "", "hst", "", "", ""},
		{"ID-07", "dashes and dots do no harm", "host,context", "www.example.com", "/my-app", "", "www.example.com:/my-app_"},
		{"twice", "as in MSM", "static:a,static:b", "", "", "", "a:b_"},
		{"longest", "200 bytes", "context", "", strings.Repeat("c", 199), "", strings.Repeat("c", 199) + "_"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := storagePrefix(tc.tokens, tc.host, tc.context, tc.versn)
			if err != nil || got != tc.want {
				t.Errorf("storagePrefix(%q) = %q, %v; want %q: %s", tc.tokens, got, err, tc.want, tc.reason)
			}
		})
	}
}

// CFG-12: what New refuses.
func TestStorageKeyPrefixErrors(t *testing.T) {
	for _, tc := range []struct{ name, tokens, host, context, want string }{
		{"unknown token", "hosts", "h", "c", `unknown token "hosts"`},
		{"no trimming", "host, context", "h", "c", `unknown token " context"`},
		{"blank", " ", "h", "c", `unknown token " "`},
		{"empty token", "host,,context", "h", "c", `unknown token ""`},
		{"empty static", "static:", "h", "c", "text without colon"},
		{"static with colon", "static:a:b", "h", "c", "text without colon"},
		{"hash without host", "host.hash", "", "c", "set it"},
		{"blank in context", "context", "h", "/my app", "blank or control character"},
		{"control character", "static:a\x7f", "h", "c", "blank or control character"},
		{"too long", "context", "h", strings.Repeat("c", 200), "at most 200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := storagePrefix(tc.tokens, tc.host, tc.context, "")
			if err == nil || !strings.HasPrefix(err.Error(), "msm: Config.StorageKeyPrefix: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("storagePrefix(%q) = %q, %v; want an error that says %q", tc.tokens, got, err, tc.want)
			}
		})
	}
}
