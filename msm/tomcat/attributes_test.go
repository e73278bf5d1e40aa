package tomcat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
)

// value is one that an attribute takes, and what it makes of a Config.
type value struct {
	text string
	make func(*msm.Config)
	with string // other attributes
}

// refusal is a value that is refused, by ParseContext or by New, and what the
// message says.
type refusal struct{ text, message, with string }

// unchanged is for values that say what is so anyway.
func unchanged(*msm.Config) {}

// attributes are all of MSM (msm.md, 1.1), and those that it has from Tomcat.
var attributes = []struct {
	name     string
	accepted []value
	refused  []refusal
}{
	{
		"className",
		[]value{{"de.javakaffee.web.msm.MemcachedBackupSessionManager", unchanged, ""}},
		[]refusal{{"org.apache.catalina.session.StandardManager", "is another session manager", ""}, {"", "is another session manager", ""}},
	},
	{
		"memcachedNodes", // CFG-01, NODE-01, NODE-05, NODE-06, NODE-12, NODE-13
		[]value{
			{"n1:a:11211,n2:b:11212", func(c *msm.Config) { c.MemcachedNodes = "n1:a:11211,n2:b:11212" }, ""},
			{"n1:a:11211 n2:b:11212", func(c *msm.Config) { c.MemcachedNodes = "n1:a:11211 n2:b:11212" }, ""},
			{"n1:a:11211,\n  n2:b:11212", func(c *msm.Config) { c.MemcachedNodes = "n1:a:11211,\n  n2:b:11212" }, ""},
			{"localhost:11211", func(c *msm.Config) { c.MemcachedNodes = "localhost:11211" }, ""},
		},
		[]refusal{
			{"", "memcachedNodes is missing", ""},
			{"  ", "memcachedNodes is missing", ""},
			{"redis://h", "names Redis (redis://h)", ""},
			{"rediss://:pw@h:6380", "names Redis (rediss://:xxxxx@h:6380)", ""},
			{"http://h1:8091/pools,http://h2:8091/pools", "names Couchbase (http://h1:8091/pools, http://h2:8091/pools)", ""},
			{"ftp://h", "names URLs (ftp://h)", ""},
			{"localhost:1,localhost:2", "MemcachedNodes", ""},
			{"n1:a:1,n1:b:2", "MemcachedNodes", ""},
			{"n1:a:1,n2:a:1", "MemcachedNodes", ""},
			{"n1:a:99999", "MemcachedNodes", ""},
			{"n-1:a:1,n2:b:2", "MemcachedNodes", ""},
		},
	},
	{
		"failoverNodes", // NODE-04, NODE-05, NODE-06
		[]value{
			{"n1", func(c *msm.Config) { c.FailoverNodes = "n1" }, ""},
			{" ", unchanged, ""},
			{"n1, n2", func(c *msm.Config) { c.FailoverNodes, c.MemcachedNodes = "n1, n2", "n1:a:1,n2:b:2,n3:c:3" }, `memcachedNodes="n1:a:1,n2:b:2,n3:c:3"`},
		},
		[]refusal{
			{"n9", "FailoverNodes", ""},
			{"n1,n2", "FailoverNodes: all nodes are for failover", ""},
			{"n1", "FailoverNodes", `memcachedNodes="n1:a:1"`},
		},
	},
	{
		"memcachedProtocol", // CFG-03: MSM warns and takes text
		[]value{{"text", func(c *msm.Config) { c.MemcachedProtocol = "text" }, ""}, {"binary", func(c *msm.Config) { c.MemcachedProtocol = "binary" }, ""}},
		[]refusal{{"foo", "MemcachedProtocol", ""}, {"BINARY", "MemcachedProtocol", ""}},
	},
	{
		"username",
		[]value{
			{"u", func(c *msm.Config) { c.MemcachedProtocol, c.Username, c.Password = "binary", "u", "p" }, `memcachedProtocol="binary" password="p"`},
			{"u", unchanged, `password="p"`},
			{" ", func(c *msm.Config) { c.MemcachedProtocol = "binary" }, `memcachedProtocol="binary" password="p"`},
		}, nil,
	},
	{
		"password",
		[]value{
			{"p", func(c *msm.Config) { c.MemcachedProtocol, c.Username, c.Password = "binary", "u", "p" }, `memcachedProtocol="binary" username="u"`},
			{"", func(c *msm.Config) { c.MemcachedProtocol = "binary" }, `memcachedProtocol="binary" username="u"`},
		}, nil,
	},
	{
		"sticky",
		[]value{{"true", unchanged, ""}, {"TRUE", unchanged, ""}, {"false", func(c *msm.Config) { c.NonSticky = true }, ""}, {"False", func(c *msm.Config) { c.NonSticky = true }, ""}},
		[]refusal{{"yes", "is neither true nor false", ""}, {"1", "is neither true nor false", ""}, {"", "is neither true nor false", ""}, {"true ", "is neither true nor false", ""}},
	},
	{
		"lockingMode", // CFG-04, CFG-05
		[]value{
			{"none", func(c *msm.Config) { c.NonSticky, c.LockingMode = true, "none" }, `sticky="false"`},
			{"All", func(c *msm.Config) { c.NonSticky, c.LockingMode = true, "all" }, `sticky="false"`},
			{"AUTO", func(c *msm.Config) { c.NonSticky, c.LockingMode = true, "auto" }, `sticky="false"`},
			{"uriPattern:.*/X", func(c *msm.Config) { c.NonSticky, c.LockingMode = true, "uriPattern:.*/X" }, `sticky="false"`},
			{"auto", unchanged, ""},
			{"foo", unchanged, ""},
		},
		[]refusal{
			{"app", "LockingMode", `sticky="false"`}, {"foo", "LockingMode", `sticky="false"`}, {"uri_pattern", "LockingMode", `sticky="false"`},
			{"", "lockingMode is empty", `sticky="false"`}, {"uriPattern:[", "LockingMode", `sticky="false"`},
		},
	},
	{
		"lockExpiration",
		[]value{{"7", func(c *msm.Config) { c.LockExpiration = 7 * time.Second }, ""}, {"0", unchanged, ""}},
		[]refusal{{"-1", "is too small: write 0 or more", ""}, {"5s", "is no whole number", ""}, {"", "is no whole number", ""}},
	},
	{
		"operationTimeout",
		[]value{{"250", func(c *msm.Config) { c.OperationTimeout = 250 * time.Millisecond }, ""}, {"+250", func(c *msm.Config) { c.OperationTimeout = 250 * time.Millisecond }, ""}},
		[]refusal{{"0", "is too small: write 1 or more", ""}, {"1.5", "is no whole number", ""}, {"99999999999", "is beyond what an int of Java holds", ""}},
	},
	{
		"requestUriIgnorePattern",
		[]value{{`.*\.png$`, func(c *msm.Config) { c.RequestURIIgnorePattern = `.*\.png$` }, ""}, {"", unchanged, ""}},
		[]refusal{{"[", "RequestURIIgnorePattern", ""}, {"(?!/api).*", "lookahead", ""}, {"/a++", "possessive", ""}},
	},
	{
		"sessionBackupAsync",
		[]value{{"true", unchanged, ""}, {"false", func(c *msm.Config) { c.SessionBackupSync = true }, ""}},
		[]refusal{{"async", "is neither true nor false", ""}},
	},
	{
		"sessionBackupTimeout",
		[]value{{"50", func(c *msm.Config) { c.SessionBackupTimeout = 50 * time.Millisecond }, ""}, {"1800000", func(c *msm.Config) { c.SessionBackupTimeout = 30 * time.Minute }, ""}},
		[]refusal{{"0", "is too small", ""}, {"-100", "is too small", ""}, {"100ms", "is no whole number", ""}, {" 100", "is no whole number", ""}},
	},
	{
		"backupThreadCount",
		[]value{{"3", func(c *msm.Config) { c.BackupThreadCount = 3 }, ""}},
		[]refusal{{"0", "is too small: write 1 or more", ""}, {"-1", "is too small", ""}, {"many", "is no whole number", ""}},
	},
	{
		"sessionAttributeFilter",
		[]value{{"user|cart", func(c *msm.Config) { c.SessionAttributeFilter = "user|cart" }, ""}, {" ", unchanged, ""}},
		[]refusal{{"(", "SessionAttributeFilter", ""}},
	},
	{
		"transcoderFactoryClass",
		[]value{
			{"de.javakaffee.web.msm.JavaSerializationTranscoderFactory", func(c *msm.Config) { c.Transcoder = msm.Gob }, ""},
			{"de.javakaffee.web.msm.serializer.kryo.KryoTranscoderFactory", func(c *msm.Config) { c.Transcoder = msm.Compact }, ""},
			{"de.javakaffee.web.msm.serializer.javolution.JavolutionTranscoderFactory", func(c *msm.Config) { c.Transcoder = msm.XML }, ""},
			{"de.javakaffee.web.msm.serializer.xstream.XStreamTranscoderFactory", func(c *msm.Config) { c.Transcoder = msm.XML }, ""},
			{"de.javakaffee.web.msm.serializer.json.JSONTranscoderFactory", func(c *msm.Config) { c.Transcoder = msm.JSON }, ""},
			{"", unchanged, ""},
		},
		[]refusal{{"com.example.Mine", `"com.example.Mine" is unknown: write one of de.javakaffee.web.msm.Java`, ""}},
	},
	{
		"copyCollectionsForSerialization", // CFG-10: here it is always so, whatever the transcoder
		[]value{{"true", unchanged, ""}, {"false", unchanged, ""}},
		[]refusal{{"maybe", "is neither true nor false", ""}},
	},
	{"customConverter", []value{{"com.example.A,  com.example.B", unchanged, ""}, {"", unchanged, ""}}, nil},
	{
		"enableStatistics",
		[]value{{"true", unchanged, ""}, {"false", func(c *msm.Config) { c.DisableStatistics = true }, ""}},
		[]refusal{{"no", "is neither true nor false", ""}},
	},
	{
		"enabled",
		[]value{{"true", unchanged, ""}, {"false", func(c *msm.Config) { c.Disabled = true }, ""}},
		[]refusal{{"off", "is neither true nor false", ""}, {"false", "Disabled", `sticky="false"`}}, // CFG-06
	},
	{
		"storageKeyPrefix", // CFG-12
		[]value{{"static:x,context", func(c *msm.Config) { c.StorageKeyPrefix = "static:x,context" }, ""}, {"", unchanged, ""}},
		[]refusal{{"foo", "StorageKeyPrefix", ""}, {"host, context", "StorageKeyPrefix", ""}, {"static:", "StorageKeyPrefix", ""}, {"host.hash", "Config.Host", ""}},
	},
	{
		"maxInactiveInterval",
		[]value{{"90", func(c *msm.Config) { c.MaxInactiveInterval = 90 * time.Second }, ""}, {"-1", func(c *msm.Config) { c.MaxInactiveInterval = -1 }, ""}, {"0", func(c *msm.Config) { c.MaxInactiveInterval = -1 }, ""}},
		[]refusal{{"30m", "is no whole number", ""}},
	},
	{
		"maxActiveSessions", // CFG-13: there is no limit here
		[]value{{"-1", unchanged, ""}, {"1000", unchanged, ""}},
		[]refusal{{"x", "is no whole number", ""}},
	},
	{"processExpiresFrequency", []value{{"6", unchanged, ""}}, nil},
	{"sessionIdLength", []value{{"32", unchanged, ""}}, nil},
	{"distributable", []value{{"true", unchanged, ""}}, nil},
	{"sessionAttributeNameFilter", nil, []refusal{{"a", "write it as sessionAttributeFilter", ""}}},
}

// load is what a program does with a file.
func load(file string) (msm.Config, *msm.Manager, error) {
	cfg, _, err := tomcat.ParseContext(strings.NewReader(file))
	if err != nil {
		return cfg, nil, err
	}
	m, err := msm.New(cfg)
	return cfg, m, err
}

// Every attribute: what it takes, what that means, what it refuses and how.
func TestAttributes(t *testing.T) {
	for _, a := range attributes {
		t.Run(a.name, func(t *testing.T) {
			for _, v := range a.accepted {
				want := msm.Config{MemcachedNodes: "n1:a:1,n2:b:2"}
				v.make(&want)
				got, m, err := load(withAttribute(a.name, v.text, v.with))
				if err != nil {
					t.Errorf("%s=%q %s: %v", a.name, v.text, v.with, err)
					continue
				}
				m.Shutdown(t.Context())
				if diff := cmp.Diff(want, got, sameTranscoder); diff != "" {
					t.Errorf("%s=%q %s: Config differs (-want +got):\n%s", a.name, v.text, v.with, diff)
				}
			}
			for _, r := range a.refused {
				_, m, err := load(withAttribute(a.name, r.text, r.with))
				if err == nil {
					m.Shutdown(t.Context())
					t.Errorf("%s=%q %s: accepted", a.name, r.text, r.with)
				} else if !strings.Contains(err.Error(), r.message) {
					t.Errorf("%s=%q %s: %v; want %q in it", a.name, r.text, r.with, err, r.message)
				}
			}
		})
	}
}

// withAttribute is a context.xml whose Manager has an attribute, and others.
func withAttribute(name, text, others string) string {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\n", "&#10;").Replace(text)
	if name == "className" {
		return `<Context path=""><Manager className="` + text + `" memcachedNodes="n1:a:1,n2:b:2" ` + others + `/></Context>`
	}
	return manager(name + `="` + text + `" ` + others)
}

// CFG-02: a file that names the nodes alone is MSM's default, which is that of
// Config.
func TestDefaults(t *testing.T) {
	got, m, err := load(manager(""))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown(t.Context())
	if diff := cmp.Diff(msm.Config{MemcachedNodes: "n1:a:1,n2:b:2"}, got, sameTranscoder); diff != "" {
		t.Errorf("Config differs (-want +got):\n%s", diff)
	}
}
