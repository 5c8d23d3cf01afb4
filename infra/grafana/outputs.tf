output "dashboards" {
  description = "Address of each dashboard."
  value       = { for key, dashboard in grafana_dashboard.this : key => dashboard.url }
}
