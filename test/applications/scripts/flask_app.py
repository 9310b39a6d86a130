import os
import sys
from urllib.parse import urlsplit

from flask import Flask, abort, jsonify, make_response, redirect, request, url_for

app = Flask(__name__)
if os.environ.get("BEHIND_PROXY"):
    from werkzeug.middleware.proxy_fix import ProxyFix

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)


@app.get("/")
def index():
    return "flask"


@app.get("/self")
def own_url():
    return jsonify(url=url_for("target", _external=True))


@app.get("/redirect")
def moved():
    return redirect(url_for("target", _external=True))


@app.get("/target")
def target():
    return "target"


@app.post("/form")
def form():
    if urlsplit(request.headers.get("origin", "")).netloc != request.host:
        abort(403)
    return jsonify(name=request.form["name"], bytes=len(request.files["file"].read()))


@app.get("/cookies")
def cookies():
    answer = make_response(jsonify(dict(request.cookies)))
    answer.set_cookie("one", "1")
    answer.set_cookie("two", "2", httponly=True)
    return answer


app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
