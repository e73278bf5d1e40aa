package msm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// never is how an endless time-out is written.
const never = "never"

// adminSetting is a field of Config as the admin page shows and changes it.
type adminSetting struct {
	name   string
	hint   string
	form   int // settings with the same number stand in one form; 0: it is only shown
	choice []string
	show   func(*Config) string
	set    func(*Config, string) error // nil: it is only shown
}

// adminSettings are those of the page, in its order. None of them is secret.
func adminSettings() []adminSetting {
	return []adminSetting{
		boolSetting(1, "Disabled", "sessions stay in this process, memcached is left alone; sticky sessions only", func(c *Config) *bool { return &c.Disabled }),
		{name: "MemcachedNodes", hint: "n1:host:port,n2:host:port; exchange them one by one", form: 2, show: (*Config).nodeList, set: (*Config).setNodes},
		textSetting(2, "FailoverNodes", "ids of nodes that take sessions only while no other is up", func(c *Config) *string { return &c.FailoverNodes }),
		boolSetting(3, "NonSticky", "any instance may get a request: sessions are in memcached alone", func(c *Config) *bool { return &c.NonSticky }),
		textSetting(3, "LockingMode", "none, all, auto or uriPattern:<regular expression>; non-sticky sessions only", func(c *Config) *string { return &c.LockingMode }),
		textSetting(4, "SessionAttributeFilter", "a regular expression for the names that are stored; empty: all", func(c *Config) *string { return &c.SessionAttributeFilter }),
		durationSetting(5, "OperationTimeout", "of one operation of one node, as in 500ms", func(c *Config) *time.Duration { return &c.OperationTimeout }),
		durationSetting(5, "SessionBackupTimeout", "of the second copy", func(c *Config) *time.Duration { return &c.SessionBackupTimeout }),
		durationSetting(5, "LockExpiration", "of the lock of an instance that died", func(c *Config) *time.Duration { return &c.LockExpiration }),
		{name: "MaxInactiveInterval", hint: "of sessions that begin from now on, or " + never, form: 5, show: (*Config).maxInactive, set: (*Config).setMaxInactive},
		boolSetting(6, "SessionBackupSync", "responses wait until both copies are stored", func(c *Config) *bool { return &c.SessionBackupSync }),
		{name: "BackupThreadCount", hint: "sessions that are stored in the background at the same time", form: 6,
			show: func(c *Config) string { return strconv.Itoa(c.BackupThreadCount) }, set: (*Config).setThreads},
		boolSetting(7, "DisableStatistics", "nothing is counted and measured", func(c *Config) *bool { return &c.DisableStatistics }),

		{name: "MemcachedProtocol", show: func(c *Config) string { return c.MemcachedProtocol }},
		{name: "RequestURIIgnorePattern", show: func(c *Config) string { return c.RequestURIIgnorePattern }},
		{name: "Transcoder", show: func(c *Config) string { return describeTranscoder(c.Transcoder) }},
		{name: "StorageKeyPrefix", show: func(c *Config) string { return c.StorageKeyPrefix }},
		{name: "MaxLifetime", show: (*Config).maxLife},
		{name: "Route", show: func(c *Config) string { return c.Route }},
		{name: "Context", show: func(c *Config) string { return c.Context }},
		{name: "Host", show: func(c *Config) string { return c.Host }},
		{name: "Version", show: func(c *Config) string { return c.Version }},
		{name: "Cookie.Name", show: func(c *Config) string { return c.Cookie.withDefaults().Name }},
		{name: "ValueKeys", show: func(c *Config) string { return strconv.Itoa(len(c.ValueKeys)) + " keys" }},
	}
}

// changeOf returns what changes the setting of that name; nil if nothing does.
func changeOf(name string) func(*Config, string) error {
	for _, s := range adminSettings() {
		if s.name == name {
			return s.set
		}
	}
	return nil
}

func textSetting(form int, name, hint string, field func(*Config) *string) adminSetting {
	return adminSetting{name: name, hint: hint, form: form,
		show: func(c *Config) string { return *field(c) },
		set:  func(c *Config, text string) error { *field(c) = text; return nil },
	}
}

func boolSetting(form int, name, hint string, field func(*Config) *bool) adminSetting {
	return adminSetting{name: name, hint: hint, form: form, choice: []string{"false", "true"},
		show: func(c *Config) string { return strconv.FormatBool(*field(c)) },
		set: func(c *Config, text string) error {
			if text != "true" && text != "false" {
				return fmt.Errorf("%q is neither true nor false: write one of them", text)
			}
			*field(c) = text == "true"
			return nil
		},
	}
}

func durationSetting(form int, name, hint string, field func(*Config) *time.Duration) adminSetting {
	return adminSetting{name: name, hint: hint, form: form,
		show: func(c *Config) string { return field(c).String() },
		set:  func(c *Config, text string) error { return setDuration(field(c), text) },
	}
}

func setDuration(d *time.Duration, text string) error {
	value, err := time.ParseDuration(text)
	if err != nil {
		return errors.New(strconv.Quote(text) + " is no duration: write one like 500ms, 1s or 30m")
	}
	if value <= 0 {
		return fmt.Errorf("%v is not positive: write one like 500ms, 1s or 30m", value)
	}
	*d = value
	return nil
}

// nodeList is where the sessions are: with Client, its nodes.
func (cfg *Config) nodeList() string {
	if cfg.Client == nil {
		return cfg.MemcachedNodes
	}
	var list []string
	for _, n := range cfg.Client.Ring().Nodes() {
		if n.ID == n.Addr {
			list = append(list, n.Addr)
		} else {
			list = append(list, n.ID+":"+n.Addr)
		}
	}
	return strings.Join(list, ",")
}

// setNodes leaves the nodes of Client to it; the form has them beside what can
// be changed.
func (cfg *Config) setNodes(text string) error {
	switch {
	case cfg.Client == nil:
		cfg.MemcachedNodes = text
	case text != cfg.nodeList():
		return errors.New("are those of Config.Client: change them by its SetRing")
	}
	return nil
}

func (cfg *Config) maxInactive() string {
	if cfg.MaxInactiveInterval < 0 {
		return never
	}
	return cfg.MaxInactiveInterval.String()
}

func (cfg *Config) setMaxInactive(text string) error {
	if text == never {
		cfg.MaxInactiveInterval = -1
		return nil
	}
	return setDuration(&cfg.MaxInactiveInterval, text)
}

func (cfg *Config) setThreads(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number from 1: write one like 4", text)
	}
	cfg.BackupThreadCount = n
	return nil
}

func (cfg *Config) maxLife() string {
	if cfg.MaxLifetime == 0 {
		return "" // without bound
	}
	return cfg.MaxLifetime.String()
}

// describeTranscoder is a transcoder as Config would name it.
func describeTranscoder(t Transcoder) string {
	switch t := t.(type) {
	case nil, jsonTranscoder:
		return "JSON"
	case gobTranscoder:
		return "Gob"
	case xmlTranscoder:
		return "XML"
	case compactTranscoder:
		return "Compact"
	case *converting:
		return describeTranscoder(t.others) + fmt.Sprintf(", and converters of %d types", len(t.byType))
	case *compressed:
		return describeTranscoder(t.inner) + ", compressed by " + [...]string{Zstd: "zstd", S2: "S2", Gzip: "gzip"}[t.method]
	}
	return fmt.Sprintf("%T", t)
}
