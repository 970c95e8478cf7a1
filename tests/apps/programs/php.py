# SPDX-License-Identifier: BSD-2-Clause
"""PHP's own server, alone and with processes that it forks; its handlers of signals are set with SA_SIGINFO, SIG_DFL too"""

NEEDS = ('php', 'curl', 'ab')
PORT = 7000


def play(lab):
    lab.write('www/index.php', '<?php echo strlen(file_get_contents("php://input")), str_repeat(" q", 100000), "\\n";')
    body = lab.random_file('body', 300000)
    for workers in {}, {'PHP_CLI_SERVER_WORKERS': '4'}:
        server = lab.server('php', 'php', '-S', f'127.0.0.1:{PORT}', '-t', lab.tmp / 'www', port=PORT, env=workers)
        lab.say_data('answer', lab.client('curl', '-sS', '--data-binary', f'@{body}', f'http://127.0.0.1:{PORT}/'))
        said = lab.client('ab', '-q', '-n', 300, '-c', 8, f'http://127.0.0.1:{PORT}/').decode()
        lab.say([line for line in said.splitlines() if line.startswith(('Complete', 'Failed', 'Non-2xx'))])
        lab.stop(server)
