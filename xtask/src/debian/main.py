"""What the image `debian-python` runs: says that its parts work together, one line each."""
import ctypes, decimal, hashlib, json, lzma, os, sqlite3, ssl, sys, zlib
import jinja2, pygments.formatters, requests, yaml, zoneinfo

print("python", *sys.version_info[:2])
print("user", os.getuid(), os.getgid(), os.getcwd())
print("json", json.loads(json.dumps(yaml.safe_load("a: [1, 2]"))))
print("jinja2", jinja2.Template("{{ a | join('+') }}").render(a=[1, 2]))
print("sqlite3", sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0])
print("sha256", hashlib.sha256(lzma.decompress(lzma.compress(zlib.decompress(zlib.compress(b"")))) ).hexdigest()[:16])
print("ctypes", ctypes.CDLL(None).abs(-3))
print("authorities", len(ssl.create_default_context().get_ca_certs()) > 100)
print("requests", requests.Request("GET", "http://x/", params={"a": decimal.Decimal(1)}).prepare().url)
print("pygments", len(pygments.formatters.get_all_formatters.__doc__) > 0)
print("zones", sorted(zoneinfo.available_timezones()))
