package tomcat

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed99545744/msm/msm"
)

// managerClass is MSM's session manager.
const managerClass = "de.javakaffee.web.msm.MemcachedBackupSessionManager"

// ParseContext reads the <Manager> of a context.xml or server.xml, of 1 MiB at
// most, and returns what it says as a Config for msm.New, which checks it
// further: node list, patterns and prefix are passed on as they are. Context
// path, Host name and the Engine's jvmRoute become Context, Host and Route; the
// Context's attributes for cookies and the time-out of sessions are read too.
//
// The warnings say what means something else here, for people to read. The
// error joins every problem, each with the place in the file and what to do:
// attributes that MSM does not have, values that cannot be read, storage other
// than memcached, more than one Manager. cfg is the zero Config then.
//
// Entities of a DOCTYPE are not read, ${properties} not replaced. No error and
// no warning shows a password.
func ParseContext(r io.Reader) (cfg msm.Config, warnings []string, err error) {
	d, err := readDocument(r)
	if err != nil {
		return msm.Config{}, nil, err
	}
	t := translation{}
	if err := t.choose(d); err != nil {
		return msm.Config{}, nil, err
	}
	t.readAttributes()
	if t.isOurs() {
		t.storage()
		t.nodes()
		t.modes()
		t.requests()
		t.times()
		t.transcoder()
		t.tomcatsOwn()
		t.surroundings()
	}
	if err := errors.Join(t.problems...); err != nil {
		return msm.Config{}, t.warnings, err
	}
	return t.cfg, t.warnings, nil
}

// translation is the work on one Manager.
type translation struct {
	manager  *element
	values   map[string]string // its attributes
	cfg      msm.Config
	warnings []string
	problems []error
}

// choose finds the one Manager.
func (t *translation) choose(d *document) error {
	if d.clusters > 0 {
		t.warn("the <Manager> of a <Cluster> is passed over")
	}
	switch len(d.managers) {
	case 0:
		return errors.New("tomcat: there is no <Manager> in the file, unless in a comment or a <Cluster>: it stands in the application's <Context>")
	case 1:
		t.manager = d.managers[0]
		return nil
	}
	places := make([]string, len(d.managers))
	for i, m := range d.managers {
		places[i] = m.String()
	}
	return fmt.Errorf("tomcat: there is more than one <Manager>: %s. Each is for one application: leave in the file the one that is to be read",
		strings.Join(places, "; "))
}

func (t *translation) warn(format string, args ...any) {
	t.warnings = append(t.warnings, fmt.Sprintf(format, args...))
}

func (t *translation) problem(format string, args ...any) {
	t.problems = append(t.problems, fmt.Errorf("tomcat: %v: %s", t.manager, fmt.Sprintf(format, args...)))
}

// shown is an attribute as messages show it.
func (t *translation) shown(name string) string { return name + "=" + quote(t.values[name]) }

// isOurs checks className, without which nothing else can be judged.
func (t *translation) isOurs() bool {
	class, given := t.values["className"]
	switch strings.TrimSpace(class) {
	case managerClass:
		return true
	case "de.javakaffee.web.msm.DummyMemcachedBackupSessionManager":
		t.problem("%s stores nothing, it finds attributes that Java cannot serialize: write %s", t.shown("className"), managerClass)
		return false
	}
	_, nodes := t.values["memcachedNodes"]
	switch {
	case given:
		t.problem("%s is another session manager: that of memcached-session-manager is %s", t.shown("className"), managerClass)
	case !nodes:
		t.problem("it has neither className nor memcachedNodes: it is Tomcat's own manager, which keeps sessions in memory; "+
			"that of memcached-session-manager is %s", managerClass)
	default:
		t.warn("<Manager> has no className: it is read as %s, while Tomcat would take it for its own", managerClass)
		return true
	}
	return false
}
