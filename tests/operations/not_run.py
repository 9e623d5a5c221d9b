"""The rows of the guide that nothing here can run, and those that have no counterpart, so that none gets such a mark unseen."""

ON_A_CLUSTER = {
    "78": "kubectl get pods -n exalt-shared -l app=tracing-config",
    "81": "kubectl get svc tracing-config -n exalt-shared",
    "84": "kubectl get deployment tracing-config -n exalt-shared",
    "87": "kubectl get events -n exalt-shared --sort-by='.lastTimestamp' | grep tracing-config",
    "95": "kubectl logs -f deployment/tracing-config -n exalt-shared",
    "98": "kubectl logs -f POD -n exalt-shared",
    "101": "kubectl logs --previous POD -n exalt-shared",
    "104": "kubectl logs -f -l app=tracing-config -n exalt-shared --all-containers=true",
    "300": "kubectl get pods -n exalt-shared -l app=tracing-config",
    "303": "kubectl logs --tail=100 deployment/tracing-config -n exalt-shared",
    "306": "kubectl rollout history deployment/tracing-config -n exalt-shared",
    "312": "kubectl top pods -n exalt-shared -l app=tracing-config",
    "315": "kubectl get nodes",
    "318": "kubectl get pv,pvc -n exalt-shared",
    "321": "kubectl describe deployment tracing-config -n exalt-shared",
    "327": "kubectl rollout restart deployment/tracing-config -n exalt-shared",
    "330": "kubectl scale deployment tracing-config --replicas=0 -n exalt-shared",
    "331": "kubectl scale deployment tracing-config --replicas=2 -n exalt-shared",
    "334": "kubectl rollout undo deployment/tracing-config -n exalt-shared",
    "345": "kubectl top pods -n exalt-shared -l app=tracing-config",
    "420": "kubectl run -it --rm debug -n infrastructure --image=postgres:17 --restart=Never -- psql -h postgres-service -U tracing_user -d tracing_config_db",  # noqa: E501 - word for word
    "424": "kubectl get pods -n infrastructure -l app=postgres",
    "427": "kubectl logs -f deployment/postgres -n infrastructure",
    "481": "kubectl apply -k deploy/kubernetes/overlays/production",
    "500": "docker pull python:3.13-slim-trixie",
    "501": "docker build --pull -t exalt/tracing-config:$(date +%Y%m%d) .",
    "528": "kubectl rollout status deployment/tracing-config -n exalt-shared",
    "577": "kubectl get configmap tracing-config -n exalt-shared -o yaml > config-backup.yaml",
    "579": "kubectl get deployment tracing-config -n exalt-shared -o yaml > deployment-backup.yaml",
    "593": "kubectl apply -f config-backup.yaml",
    "594": "kubectl apply -f deployment-backup.yaml",
    "597": "kubectl get pods -n exalt-shared -l app=tracing-config",
    "726": "kubectl get pods -n infrastructure -l app=postgres",
    "735": "kubectl rollout restart deployment/postgres -n infrastructure",
    "762": "kubectl get pods -n exalt-shared -l app=tracing-config -o jsonpath='{..lastState.terminated.reason}'",
    "769": "kubectl top pods -n exalt-shared -l app=tracing-config",
    "879": "kubectl top pods -n exalt-shared -l app=tracing-config",
    "991": "kubectl get certificates -n exalt-shared",
    "992": "kubectl describe certificate tracing-config-tls -n exalt-shared",
    "1000": "kubectl auth can-i --list --as=system:serviceaccount:exalt-shared:tracing-config-sa",
    "1003": "kubectl describe serviceaccount tracing-config-sa -n exalt-shared",
    "1004": "kubectl describe role tracing-config-role -n exalt-shared",
    "1042": "kubectl get pods -n exalt-shared -l app=tracing-config",
}
"""By the line of the old guide: what is typed, word for word."""

WITHOUT_COUNTERPART = {
    "294",  # 0 to 5 minutes
    "309",  # 5 to 15 minutes
    "364",  # patch `JAVA_OPTS=-Xms2g -Xmx4g -XX:+UseG1GC`
    "482",  # `kubectl rollout restart` after it
    "571",  # script: `rm $BACKUP_FILE`
    "578",  # `kubectl get secret tracing-secrets -o yaml > secrets-backup.yaml`
    "609",  # `-Xms2g`
    "610",  # `-Xmx4g`
    "611",  # `-XX:+UseG1GC`
    "612",  # `-XX:MaxGCPauseMillis=200`
    "613",  # `-XX:+UnlockExperimentalVMOptions`
    "614",  # `-XX:+UseCGroupMemoryLimitForHeap`
    "615",  # `-XX:+ExitOnOutOfMemoryError`
    "616",  # `-XX:+HeapDumpOnOutOfMemoryError`
    "617",  # `-XX:HeapDumpPath=/app/logs/heapdump.hprof`
    "618",  # `-verbose:gc`
    "619",  # `-XX:+PrintGCDetails`
    "620",  # `-XX:+PrintGCTimeStamps`
    "621",  # `-Xloggc:/app/logs/gc.log`
    "648",  # `connection-timeout: 30000`
    "649",  # `idle-timeout: 600000`
    "650",  # `max-lifetime: 1800000`
    "651",  # `leak-detection-threshold: 60000`
    "652",  # `connection-test-query: "SELECT 1"`
    "677",  # `timeout: 2000ms`
    "680",  # `max-active: 16`
    "681",  # `max-idle: 8`
    "682",  # `min-idle: 4`
    "683",  # `max-wait: 2000ms`
    "701",  # `@Scheduled(fixedRate = 300000)`, evict all
    "773",  # `jcmd 1 GC.run_finalization`
    "775",  # `jcmd 1 VM.classloader_stats`
    "799",  # patch `JAVA_OPTS=-Xms2g -Xmx3g -XX:+UseG1GC`
    "869",  # `kubectl rollout restart` after it
    "1055",  # update the documentation
    "1064",  # level 1: infrastructure team and its address
    "1065",  # level 2: lead of platform engineering
    "1066",  # level 3: CTO, engineering director
    "1069",  # Slack channel
    "1070",  # PagerDuty service
    "1071",  # telephone
    "1075",  # who keeps the guide, and when it was last changed
}
