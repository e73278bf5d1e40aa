package main

import (
	"fmt"
	"os"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
)

// configure finds out how sessions are kept: as the file of -context says, or
// so that the demo loses nothing.
func (s *system) configure() error {
	if s.config.context == "" {
		s.msm = msm.Config{
			NonSticky:               s.config.nonSticky,
			LockingMode:             s.config.locking,
			RequestURIIgnorePattern: `.*\.(ico|png|css|js)`,
			SessionBackupSync:       true,
		}
		return nil
	}
	f, err := os.Open(s.config.context)
	if err != nil {
		return err
	}
	defer f.Close()
	cfg, warnings, err := tomcat.ParseContext(f)
	if err != nil {
		return fmt.Errorf("%s: %w", s.config.context, err)
	}
	if s.config.logger != nil {
		for _, w := range warnings {
			s.config.logger.Warn(w)
		}
	}
	s.msm = cfg
	return nil
}
