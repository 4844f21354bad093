"""Failovers of Holdfast, Patroni and pg_auto_failover: the same faults, the same client, the same count."""
