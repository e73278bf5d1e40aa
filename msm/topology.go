package msm

import (
	"maps"

	"github.com/seed99545744/msm/memcache"
	"github.com/seed99545744/msm/ring"
)

// topology is a ring with its servers. It never changes.
type topology struct {
	client  *memcache.Client
	ring    *ring.Ring
	servers map[string]*server // by node id
}

func (s *store) newTopology(r *ring.Ring) *topology {
	t := &topology{client: s.client, ring: r, servers: make(map[string]*server)}
	nodes := r.Nodes()
	for _, n := range nodes {
		name := n.ID
		if isAnonymous(nodes) {
			name = ""
		}
		t.servers[n.ID] = &server{
			id: n.ID, name: name, failover: s.failover[n.ID], client: s.client.On(n.ID),
			patience: s.backupTimeout, outreach: s.outreach,
		}
	}
	return t
}

// topology returns the servers of the client's ring in force.
func (s *store) topology() *topology {
	r := s.client.Ring()
	t := s.nodes.Load()
	if t == nil || t.ring != r {
		t = s.newTopology(r)
		s.nodes.Store(t)
	}
	return t
}

// isLike tells whether sessions are on the same places in both.
func (s *store) isLike(other *store) bool {
	return s.client == other.client && s.keys == other.keys && s.backupTimeout == other.backupTimeout && maps.Equal(s.failover, other.failover)
}

// newVersion returns a version that knows its places and nothing else: the
// first of the ring's walk over the session's id, the same in every instance.
func (t *topology) newVersion(base, key string) *version {
	v := &version{on: t, base: base, key: key, source: -1, home: -1}
	for n := range t.ring.Walk(base) {
		v.places[v.n] = replica{server: t.servers[n.ID]}
		if v.n++; v.n == maxPlaces {
			break
		}
	}
	return v
}

// reseat gives v the places that sessions have by now, if its own are of other
// nodes: SetRing or Reconfigure has changed them. Of the copies only what the same
// client has told under the same key is still believed. It is false if nothing
// is known any more: then all places are to be asked.
func (s *store) reseat(v *version) bool {
	now := s.topology()
	if v.on == now {
		return true
	}
	next := now.newVersion(v.base, s.keys.session(v.base))
	next.rec, next.stamp, next.fresh, next.accessed, next.doubtful = v.rec, v.stamp, v.fresh, v.accessed, v.doubtful
	for i := range v.n {
		if v.on.client != now.client || v.key != next.key {
			break
		}
		next.inherit(v, i)
	}
	next.unwritten = !next.fresh && next.rec != nil && next.source < 0
	*v = *next
	return v.fresh || v.source >= 0
}

// inherit takes over what v knows of the copy at its place i.
func (next *version) inherit(v *version, i int) {
	for j := range next.n {
		server := next.places[j].server
		if server.id != v.places[i].server.id || server.name != v.places[i].server.name {
			continue
		}
		next.places[j] = v.places[i]
		next.places[j].server = server
		if v.source == i && !v.unwritten {
			next.source = j
		}
		if v.home == i {
			next.home = j
		}
	}
}
