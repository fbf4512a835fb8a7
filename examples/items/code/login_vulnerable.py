import os, pickle, sqlite3, hashlib
PASSWORD = "admin123"
def login(user, pw, cookie):
    db = sqlite3.connect("users.db")
    q = "SELECT * FROM users WHERE name = '" + user + "' AND pw = '" + hashlib.md5(pw.encode()).hexdigest() + "'"
    row = db.execute(q).fetchone()
    session = pickle.loads(cookie)
    os.system("echo login %s >> /tmp/log" % user)
    eval(session["on_login"])
    try:
        return row[0]
    except:
        pass
