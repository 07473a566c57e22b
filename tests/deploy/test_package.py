"""The Debian package, installed on a copy of this machine's file system that is thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What systemd would do is done by hand: the credential, the user, the command of the unit.
INSTALL_AND_USE = """
set -e
mount -t overlay overlay -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/new
mount -t proc proc $1/new/proc
mount --bind /dev $1/new/dev
cp $2 $1/new/tmp/s3server.deb
cat >$1/new/tmp/use <<'END'
set -e
cd /
dpkg -i /tmp/s3server.deb
mkdir /run/credentials.test
cp /etc/s3server/root_secret_key /run/credentials.test/
chown -R s3server /run/credentials.test
as_server="setpriv --reuid s3server --regid s3server --clear-groups env"
$as_server cat /etc/s3server/root_secret_key && exit 9
$as_server CREDENTIALS_DIRECTORY=/run/credentials.test S3SERVER_SERVER__LISTEN=127.0.0.1:0 \
    s3server serve --config /etc/s3server/s3server.toml >/tmp/log &
for second in $(seq 60); do
    grep -q ^READY /tmp/log && break
    sleep 1
done
s3server user create alice
s3server user list --json
echo "foreign files: $(find /var/lib/s3server -not -user s3server | wc -l)"
kill $!
wait $!
dpkg -r s3server
echo "kept: $(ls /var/lib/s3server)"
END
chroot $1/new bash /tmp/use
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="installing a package needs root")
@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
def test_package_serves_as_a_user_of_its_own_and_leaves_data_behind() -> None:
    subprocess.run(["make", "deb"], cwd=ROOT, check=True)
    (package,) = (ROOT / "dist").glob("s3server_*.deb")
    here = Path("/dev/shm") / f"s3server-package.{os.getpid()}"
    for name in ("upper", "work", "new"):
        (here / name).mkdir(parents=True)
    try:
        done = subprocess.run(
            [
                *("unshare", "--mount", "--propagation", "private"),
                *("bash", "-c", INSTALL_AND_USE, "-", here, package),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    finally:
        shutil.rmtree(here)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert '"name": "alice"' in done.stdout
    assert "foreign files: 0" in done.stdout
    assert "master.key" in done.stdout.partition("kept: ")[2]
