package msm

import "testing"

// BenchmarkStatistics is a request that reads and changes a sticky session in
// memory, with statistics and without.
func BenchmarkStatistics(b *testing.B) {
	for name, disabled := range map[string]bool{"on": false, "off": true} {
		b.Run(name, func(b *testing.B) {
			m, err := New(Config{Disabled: true, DisableStatistics: disabled})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Shutdown(b.Context())
			visitor := &browser{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				visitor.visit(m, func(s *Session) {
					var n int
					if _, err := s.Get("n", &n); err != nil {
						b.Error(err)
					}
					if err := s.Set("n", i); err != nil {
						b.Error(err)
					}
				})
			}
		})
	}
}
