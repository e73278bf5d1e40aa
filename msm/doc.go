// Package msm keeps the sessions of net/http applications on memcached nodes,
// so that neither a node nor an instance of the application can lose them. It
// is the Go counterpart of memcached-session-manager for Tomcat.
//
//	m, err := msm.New(msm.Config{MemcachedNodes: "n1:10.0.0.1:11211,n2:10.0.0.2:11211", NonSticky: true})
//	if err != nil {
//		return err
//	}
//	http.ListenAndServe(addr, m.Handler(mux))
//
// and in a handler
//
//	s := msm.From(r.Context())
//	err := s.Set("user", name)
//
// # Two copies
//
// Every session lives on two nodes: its own, which its id names after the dash,
// and the next one that is up. When a node dies, the next request finds the
// other copy, another node takes its place, and the id's suffix changes;
// nothing else does. A node that comes back empty or with old data is noticed
// and mended. A response waits until what its request changed is stored.
//
// # Parallel requests
//
// Requests of one session may run at the same time, in one instance or in
// several: what they change is merged, attribute by attribute. [Key.Update]
// changes an attribute in a way that counts right however many do so at once.
//
// # Sticky sessions
//
// An instance serves sticky sessions from its memory, and asks memcached once a
// second whether it still has the same. What another instance does to a session,
// to end it included, takes up to a second to be seen here, unless the cookie
// tells. Nothing that is set gets lost by that: it is merged. But [Session.Delete]
// of an attribute that this instance has not seen yet does nothing. It is rare
// where the proxy sends a browser to the same instance every time; sessions that
// are not sticky do not know it.
//
// # Changes while it runs
//
// [Manager.Reconfigure] puts another Config in force, nodes and modes included,
// and requests go on. [Manager.AdminHandler] lets an operator do that, and shows
// nodes, statistics and settings.
//
// # Memory
//
// Requests that store nothing take no memory from one to the next, whatever
// their cookies say, but for the newest ids that no node knew: 2,000 at most, for
// a second. Sticky sessions (Config.NonSticky is false) are kept in
// memory by the instance that serves them, beside memcached, until they have not
// been used for their idle time-out. Their number is not limited: a handler that
// stores something for everybody who comes along gives strangers that memory for
// that time. Give such sessions a short time-out ([Session.SetMaxInactive]) until
// somebody has logged in, or put a limiter before Handler. One whose time-out is
// negative stays in memory until it is ended, or Config.MaxLifetime is over.
// Sessions that are not sticky take none.
//
// # The end of a session
//
// [Session.Invalidate] and [Session.Renew] leave a tombstone on both nodes, which
// requests that are still under way, old cookies and nodes that come back with
// old data all meet. What remains: when both nodes with the tombstone are lost
// before the session would have expired, and a third, or one of them, comes back
// with a copy from before, the session is back. So it is when both of the session's
// nodes were out of reach when it ended, and a third has the only tombstone.
package msm
