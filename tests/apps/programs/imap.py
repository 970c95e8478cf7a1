# SPDX-License-Identifier: BSD-2-Clause
"""dovecot: who waits for clients is one program, who accepts them another, that is started with an environment of its own"""

import os

NEEDS = ('dovecot', 'curl')
KERNEL = 'the programs that accept are without the library (BLIND)'
PORT = 7143

CONF = '''
base_dir = {tmp}/run
state_dir = {tmp}/run
protocols = imap
listen = 127.0.0.1, ::1
log_path = {tmp}/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{tmp}/mail/%u
first_valid_uid = 1
passdb {{
  driver = static
  args = password=x
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={tmp}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
'''


def play(lab):
    (lab.tmp / 'mail').mkdir()
    os.chmod(lab.tmp / 'mail', 0o777)
    server = lab.server('dovecot', 'dovecot', '-F', '-c', lab.write('conf', CONF.format(tmp=lab.tmp, port=PORT)), port=PORT, leases=False)
    for i in range(6):
        url = f'imap://{("127.0.0.1", "[::1]")[i % 2]}:{PORT}/INBOX'
        text = lab.write('mail.txt', 'From: a@example.test\r\nSubject: x\r\n\r\n' + 'line\r\n' * 10000 * i)
        lab.client('curl', '-sS', '-u', f'u{i}:x', '-T', text, url)
        lab.say_data('mail', lab.client('curl', '-sS', '-u', f'u{i}:x', f'{url};MAILINDEX=1'))
    lab.stop(server)
