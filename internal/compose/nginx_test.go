package compose_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestProxyLoads has Debian's nginx read deploy's configuration.
func TestProxyLoads(t *testing.T) {
	t.Parallel()
	path, dir := lookPath(t, "nginx"), t.TempDir()
	nginxFiles(t, dir, "unix:"+dir+"/socket", nil)
	out, err := exec.CommandContext(t.Context(), path, "-t", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr").CombinedOutput()
	if err != nil {
		t.Errorf("nginx does not load deploy/nginx.conf: %v\n%s", err, out)
	}
}
