package tomcat

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a file, far above what people write: Tomcat's own server.xml has
// 8 KiB and seven levels. They bound the memory that any input can take.
const (
	maxFileSize   = 1 << 20
	maxDepth      = 64
	maxAttributes = 200 // of one element
	maxManagers   = 8   // that an error names
)

// element is one element of the file, with what is of interest in it.
type element struct {
	name   string
	attrs  []xml.Attr
	line   int
	parent *element
	inner  []*element // of a Manager; of a Context the CookieProcessor
}

// attr returns an attribute's value.
func (e *element) attr(name string) (value string, ok bool) {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// within returns the nearest element of that name around e, nil if there is
// none.
func (e *element) within(name string) *element {
	for e = e.parent; e != nil && e.name != name; e = e.parent {
	}
	return e
}

// String says where the element stands: <Manager> in <Context path="/app"> in
// <Host name="localhost">, line 12.
func (e *element) String() string {
	var b strings.Builder
	for at := e; at != nil; at = at.parent {
		switch at.name {
		case "Manager", "Context", "Host", "Engine", "Cluster":
		default:
			continue
		}
		if at != e {
			b.WriteString(" in ")
		}
		b.WriteString("<" + at.name)
		for _, name := range []string{"path", "name"} {
			if value, ok := at.attr(name); ok {
				fmt.Fprintf(&b, " %s=%s", name, quote(value))
			}
		}
		b.WriteString(">")
	}
	fmt.Fprintf(&b, ", line %d", e.line)
	return b.String()
}

// document collects what a file holds of interest.
type document struct {
	decoder  *xml.Decoder
	open     *element // the innermost element that has begun
	depth    int
	managers []*element
	clusters int // Managers of a Cluster, which are Tomcat's
}

// readDocument reads a whole file.
func readDocument(r io.Reader) (*document, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("tomcat: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("tomcat: the file has more than %d bytes: it is no context.xml or server.xml", maxFileSize)
	}
	d := &document{decoder: xml.NewDecoder(bytes.NewReader(data))}
	d.decoder.CharsetReader = readCharset
	for {
		line, _ := d.decoder.InputPos()
		token, err := d.decoder.Token()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, malformed(line, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := d.begin(token, line); err != nil {
				return nil, err
			}
		case xml.EndElement:
			d.open = d.open.parent
			d.depth--
		}
	}
}

// begin takes note of an element.
func (d *document) begin(start xml.StartElement, line int) error {
	e := &element{name: start.Name.Local, attrs: start.Attr, line: line, parent: d.open}
	if d.depth++; d.depth > maxDepth {
		return fmt.Errorf("tomcat: line %d: more than %d elements within each other: it is no context.xml or server.xml", line, maxDepth)
	}
	if len(e.attrs) > maxAttributes {
		return fmt.Errorf("tomcat: line %d: <%s> has more than %d attributes: it is no context.xml or server.xml", line, quoteName(e.name), maxAttributes)
	}
	switch {
	case e.name == "Manager" && d.open != nil && d.open.name == "Cluster":
		d.clusters++
	case e.name == "Manager" && len(d.managers) < maxManagers:
		d.managers = append(d.managers, e)
	case d.open == nil:
	case d.open.name == "Manager" && len(d.open.inner) < maxAttributes, d.open.name == "Context" && e.name == "CookieProcessor" && len(d.open.inner) == 0:
		d.open.inner = append(d.open.inner, e)
	}
	d.open = e
	return nil
}

// malformed says why a file is no XML. What stands after an & is left out: it
// may be the rest of a password.
func malformed(line int, err error) error {
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("tomcat: line %d: %w", line, err)
	}
	if _, _, entity := strings.Cut(syntax.Msg, "&"); entity {
		return fmt.Errorf("tomcat: line %d: an & that begins no entity of XML: write it as &amp;; what a DOCTYPE declares is not read, write its text", syntax.Line)
	}
	return fmt.Errorf("tomcat: %w", err)
}

// readCharset reads what is not UTF-8.
func readCharset(label string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii":
		return input, nil
	case "iso-8859-1", "latin1":
		data, err := io.ReadAll(input)
		if err != nil {
			return nil, err
		}
		var text strings.Builder
		for _, c := range data {
			text.WriteRune(rune(c)) // its first 256 characters are those of Unicode
		}
		return strings.NewReader(text.String()), nil
	}
	return nil, fmt.Errorf("encoding %s is not read: save the file as UTF-8", quote(label))
}

// maxQuoted is how much of a value an error shows.
const maxQuoted = 200

// quote is a value as errors show it.
func quote(value string) string {
	if len(value) > maxQuoted {
		return fmt.Sprintf("%q...", value[:maxQuoted])
	}
	return fmt.Sprintf("%q", value)
}

// quoteName is an attribute's or element's name as errors show it.
func quoteName(name string) string { return strings.Trim(quote(name), `"`) }
