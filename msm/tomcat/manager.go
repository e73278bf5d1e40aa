package tomcat

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/seed99545744/msm/msm"
)

// forever is a session's time-out that never comes.
const forever = time.Duration(-1)

// storage refuses what is not memcached.
func (t *translation) storage() {
	nodes := t.text("memcachedNodes")
	scheme, _, isURL := strings.Cut(strings.TrimSpace(nodes), "://")
	switch {
	case nodes == "":
		t.problem(`memcachedNodes is missing: write the nodes as "n1:host:port,n2:host:port"`)
	case !isURL:
		t.cfg.MemcachedNodes = nodes
	case strings.EqualFold(scheme, "redis"), strings.EqualFold(scheme, "rediss"):
		t.problem("memcachedNodes names Redis (%s), and sessions are kept in memcached alone: write the nodes as n1:host:port,n2:host:port", redacted(nodes))
	case strings.EqualFold(scheme, "http"), strings.EqualFold(scheme, "https"), strings.EqualFold(scheme, "couchbase"):
		t.problem("memcachedNodes names Couchbase (%s), and sessions are kept in memcached alone: write the nodes as n1:host:port,n2:host:port", redacted(nodes))
	default:
		t.problem("memcachedNodes names URLs (%s): write the nodes as n1:host:port,n2:host:port", redacted(nodes))
	}
}

// redacted is a list of URLs without their passwords.
func redacted(list string) string {
	urls := strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' })
	for i, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Opaque != "" {
			scheme, _, _ := strings.Cut(u, ":")
			urls[i] = scheme + "://..."
			continue
		}
		urls[i] = parsed.Redacted()
	}
	return quoteName(strings.Join(urls, ", "))
}

// nodes reads how the nodes are used.
func (t *translation) nodes() {
	t.cfg.FailoverNodes = t.text("failoverNodes")
	t.cfg.MemcachedProtocol = t.text("memcachedProtocol")
	username, password := t.text("username"), t.text("password")
	switch {
	case username == "" && password == "":
	case username == "" || password == "":
		t.warn("username and password are passed over, as in MSM: one of them is blank")
	case t.cfg.MemcachedProtocol != "binary":
		t.warn("username and password are passed over, as in MSM, which logs in with memcachedProtocol=\"binary\" only: set Config.Username and Config.Password if the nodes want them")
	default:
		t.cfg.Username, t.cfg.Password = username, password
	}
}

// modes reads how sessions are kept.
func (t *translation) modes() {
	sticky := t.flag("sticky", true)
	t.cfg.NonSticky = !sticky
	t.cfg.Disabled = !t.flag("enabled", true)
	t.cfg.DisableStatistics = !t.flag("enableStatistics", true)
	if value, ok := t.values["storageKeyPrefix"]; ok {
		t.cfg.StorageKeyPrefix = t.text("storageKeyPrefix")
		if t.cfg.StorageKeyPrefix == "" {
			t.warn("storageKeyPrefix=%s: there is always a prefix here, context,webappVersion if nothing else is said", quote(value))
		}
	}
	mode, ok := t.values["lockingMode"]
	switch {
	case !ok:
	case sticky:
		t.warn("%s is passed over, as in MSM: it is for sticky=\"false\" only", t.shown("lockingMode"))
	case mode == "":
		t.problem("lockingMode is empty: write none, all, auto or uriPattern:<regular expression>, or remove it")
	case strings.HasPrefix(mode, "uriPattern:"):
		t.cfg.LockingMode = mode
		t.warn("lockingMode: the pattern is compared with the path, path?query and METHOD path?query here, and with the last of them alone in MSM")
	default:
		t.cfg.LockingMode = strings.ToLower(mode)
	}
	if t.flag("copyCollectionsForSerialization", false) {
		t.warn("copyCollectionsForSerialization is not needed: values are encoded when they are set")
	}
}

// requests reads which requests and attributes sessions are for.
func (t *translation) requests() {
	t.cfg.RequestURIIgnorePattern = t.text("requestUriIgnorePattern")
	if t.cfg.RequestURIIgnorePattern != "" {
		t.warn("requestUriIgnorePattern: it is compared with the path, path?query and METHOD path?query here, and with the last of them alone in MSM; " +
			"requests that match have no session at all")
	}
	t.cfg.SessionAttributeFilter = t.text("sessionAttributeFilter")
}

// times reads how long things may take.
func (t *translation) times() {
	t.cfg.SessionBackupSync = !t.flag("sessionBackupAsync", true)
	t.cfg.SessionBackupTimeout = t.duration("sessionBackupTimeout", time.Millisecond, 1)
	t.cfg.OperationTimeout = t.duration("operationTimeout", time.Millisecond, 1)
	t.cfg.BackupThreadCount = int(t.number("backupThreadCount", 0, 1))
	t.cfg.LockExpiration = t.duration("lockExpiration", time.Second, 0)
	if _, ok := t.values["lockExpiration"]; ok && t.cfg.LockExpiration == 0 {
		t.warn("%s: locks that never expire are not to be had, %v is taken", t.shown("lockExpiration"), msm.DefaultLockExpiration)
	}
	limit := cmp.Or(t.cfg.OperationTimeout, msm.DefaultOperationTimeout)
	if t.cfg.SessionBackupTimeout > limit {
		t.warn("%s is %v, since its unit is a millisecond: no longer than operationTimeout, %v, is waited, and then another node is taken",
			t.shown("sessionBackupTimeout"), t.cfg.SessionBackupTimeout, limit)
	}
}

// transcoders are the classes of MSM and what comes nearest here. Javolution,
// XStream and flexjson write what other programs can read, Java's own
// serialization and Kryo what is theirs alone.
var transcoders = []struct {
	class, name string
	ours        msm.Transcoder
	as          string
}{
	{"de.javakaffee.web.msm.JavaSerializationTranscoderFactory", "Java serialization", msm.Gob, "msm.Gob"},
	{"de.javakaffee.web.msm.serializer.kryo.KryoTranscoderFactory", "Kryo", msm.Compact, "msm.Compact"},
	{"de.javakaffee.web.msm.serializer.javolution.JavolutionTranscoderFactory", "Javolution", msm.XML, "msm.XML"},
	{"de.javakaffee.web.msm.serializer.xstream.XStreamTranscoderFactory", "XStream", msm.XML, "msm.XML"},
	{"de.javakaffee.web.msm.serializer.json.JSONTranscoderFactory", "flexjson", msm.JSON, "msm.JSON"},
}

// transcoder chooses how attributes are encoded.
func (t *translation) transcoder() {
	class := strings.TrimSpace(t.values["transcoderFactoryClass"])
	if converters := t.text("customConverter"); converters != "" {
		t.warn("%s names classes of Java: types that need a form of their own implement encoding.TextMarshaler or BinaryMarshaler, or get a converter: Config.Transcoder = msm.Converting(...)",
			t.shown("customConverter"))
	}
	if class == "" {
		t.warn("attributes are stored as JSON (msm.JSON), where MSM uses Java serialization")
		return
	}
	names := make([]string, len(transcoders))
	for i, known := range transcoders {
		if class == known.class {
			t.cfg.Transcoder = known.ours
			t.warn("transcoderFactoryClass: attributes are stored by %s, where MSM uses %s; what that has stored is not read", known.as, known.name)
			return
		}
		names[i] = known.class
	}
	t.problem("transcoderFactoryClass=%s is unknown: write one of %s, or set Config.Transcoder to one of yours", quote(class), strings.Join(names, ", "))
}
