"""A small S3 client of its own (Signature Version 4, path style), so that the store is not judged by itself."""
import datetime
import hashlib
import hmac
import http.client
import re
import time
import urllib.parse


class Client:
    def __init__(self, url, key, secret, region="us-east-1"):
        self.host = url.split("//")[1].rstrip("/")
        self.url, self.key, self.secret, self.region = url, key, secret, region

    def call(self, method, path, query=None, body=b"", expect=(200, 204), service="s3", type=None):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = "/".join((now[:8], self.region, service, "aws4_request"))
        digest = hashlib.sha256(body).hexdigest()
        path = urllib.parse.quote(path, safe="/-_.~")
        text = "&".join("%s=%s" % (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~"))
            for k, v in sorted((query or {}).items()))
        headers = {"host": self.host, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(sorted(headers))
        canonical = "\n".join((method, path, text, "".join("%s:%s\n" % (k, headers[k]) for k in sorted(headers)), names, digest))
        to_sign = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        signing = ("AWS4" + self.secret).encode()
        for part in (now[:8], self.region, service, "aws4_request"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(signing, to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (self.key, scope, names, signature)
        if type:
            headers["content-type"] = type
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request(method, path + ("?" + text if text else ""), body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status not in expect:
            raise AssertionError("%s %s?%s: %d %s" % (method, path, text, answer.status, content[:300]))
        return content

    def make_bucket(self, bucket):
        """Waits for a server that has said that it is ready, and is not yet (MinIO: 503)."""
        for _ in range(100):
            if b"NotInitialized" not in self.call("PUT", "/" + bucket, expect=(200, 409, 503)):
                return
            time.sleep(0.2)
        raise AssertionError("the server is not ready after 20 s")

    def list(self, bucket, prefix=""):
        """{key: size}"""
        found, token = {}, None
        while True:
            query = {"list-type": "2", "prefix": prefix}
            if token:
                query["continuation-token"] = token
            text = self.call("GET", "/" + bucket, query).decode()
            for item in re.findall(r"<Contents>(.*?)</Contents>", text, re.S):
                found[re.search("<Key>(.*?)</Key>", item, re.S).group(1)] = int(re.search("<Size>(.*?)</Size>", item).group(1))
            token = re.search("<NextContinuationToken>(.*?)</NextContinuationToken>", text)
            token = token and token.group(1)
            if not token:
                return found

    def uploads(self, bucket, prefix=""):
        text = self.call("GET", "/" + bucket, {"uploads": "", "prefix": prefix}).decode()
        return re.findall(r"<Upload>.*?<Key>(.*?)</Key>", text, re.S)

    def session(self):
        """Keys for an hour, as AWS_...: those of AssumeRole (MinIO)."""
        text = self.call("POST", "/", body=b"Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600", service="sts",
            type="application/x-www-form-urlencoded").decode()

        def value(name):
            return re.search("<%s>(.*?)</%s>" % (name, name), text).group(1)
        return {"AWS_ACCESS_KEY_ID": value("AccessKeyId"), "AWS_SECRET_ACCESS_KEY": value("SecretAccessKey"),
            "AWS_SESSION_TOKEN": value("SessionToken")}

    def set_versioning(self, bucket, status):
        self.call("PUT", "/" + bucket, {"versioning": ""}, body=("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/"
            "doc/2006-03-01/\"><Status>%s</Status></VersioningConfiguration>" % status).encode())
