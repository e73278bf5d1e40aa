package tomcat_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed99545744/msm/msm"
	"github.com/seed99545744/msm/msm/tomcat"
)

func ExampleParseContext() {
	file := strings.NewReader(`
		<Context path="/shop" sessionCookieName="SHOP">
		  <Manager className="de.javakaffee.web.msm.MemcachedBackupSessionManager"
		    memcachedNodes="n1:10.0.0.1:11211,n2:10.0.0.2:11211"
		    sticky="false" sessionBackupAsync="false"
		    transcoderFactoryClass="de.javakaffee.web.msm.serializer.kryo.KryoTranscoderFactory"/>
		</Context>`)
	cfg, warnings, err := tomcat.ParseContext(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range warnings {
		fmt.Println("warning:", w)
	}
	manager, err := msm.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Shutdown(context.Background())
	fmt.Println(cfg.MemcachedNodes, cfg.NonSticky, cfg.Context)
	// Output:
	// warning: transcoderFactoryClass: attributes are stored by msm.Compact, where MSM uses Kryo; what that has stored is not read
	// warning: the cookie SHOP is for HTTPS only, where Tomcat sends it over plain HTTP too: that needs Config.Cookie.Insecure
	// n1:10.0.0.1:11211,n2:10.0.0.2:11211 true /shop
}
