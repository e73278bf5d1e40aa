// Package tomcat reads the configuration of memcached-session-manager (MSM)
// from the files of Tomcat, so that those who come from there can start with
// what they have.
//
//	cfg, warnings, err := tomcat.ParseContext(file)
//	if err != nil {
//		return err // what cannot be read, and what to write instead
//	}
//	for _, w := range warnings {
//		slog.Warn(w) // what means something else here
//	}
//	cfg.Route = "app1"
//	manager, err := msm.New(cfg)
//
// What MSM has stored is not read: sessions begin anew. What a file cannot say
// is left to the program: Config.Route, unless it is a server.xml, Config.Logger
// and Config.ValueKeys. The <session-config> of a web.xml is not seen either.
package tomcat
