"""Dimensions, filters and metrics that Bid Manager reports know here, with their column headings."""

from adelt_sandbox.tabular import Dimension, Metric

DIMENSIONS = {
    "FILTER_DATE": Dimension("Date", "date", "date"),
    "FILTER_WEEK": Dimension("Week", "date", "week"),
    "FILTER_MONTH": Dimension("Month", "date", "month"),
    "FILTER_YEAR": Dimension("Year", "date", "year"),
    "FILTER_PARTNER": Dimension("Partner ID", "partner_id", "id"),
    "FILTER_PARTNER_NAME": Dimension("Partner", "partner_name"),
    "FILTER_ADVERTISER": Dimension("Advertiser ID", "advertiser_id", "id"),
    "FILTER_ADVERTISER_NAME": Dimension("Advertiser", "advertiser_name"),
    "FILTER_ADVERTISER_CURRENCY": Dimension("Advertiser Currency", "advertiser_currency"),
    "FILTER_ADVERTISER_TIMEZONE": Dimension("Advertiser Time Zone", "advertiser_time_zone"),
    "FILTER_MEDIA_PLAN": Dimension("Campaign ID", "campaign_id", "id"),
    "FILTER_MEDIA_PLAN_NAME": Dimension("Campaign", "campaign_name"),
    "FILTER_INSERTION_ORDER": Dimension("Insertion Order ID", "insertion_order_id", "id"),
    "FILTER_INSERTION_ORDER_NAME": Dimension("Insertion Order", "insertion_order_name"),
    "FILTER_LINE_ITEM": Dimension("Line Item ID", "line_item_id", "id"),
    "FILTER_LINE_ITEM_NAME": Dimension("Line Item", "line_item_name"),
    "FILTER_CREATIVE_ID": Dimension("Creative ID", "creative_id", "id"),
    "FILTER_CREATIVE": Dimension("Creative", "creative_name"),
    "FILTER_DEVICE_TYPE": Dimension("Device Type", "device_type"),
    "FILTER_COUNTRY": Dimension("Country", "country", footer="Region"),
}
METRICS = {
    "METRIC_IMPRESSIONS": Metric("Impressions", "impressions"),
    "METRIC_BILLABLE_IMPRESSIONS": Metric("Billable Impressions", "billable_impressions", "decimal_count"),
    "METRIC_CLICKS": Metric("Clicks", "clicks"),
    "METRIC_CTR": Metric("Click Rate (CTR)", "clicks", "ratio", over="impressions"),
    "METRIC_TOTAL_CONVERSIONS": Metric("Total Conversions", "total_conversions", "amount"),
    "METRIC_LAST_CLICKS": Metric("Post-Click Conversions", "post_click_conversions", "amount"),
    "METRIC_LAST_IMPRESSIONS": Metric("Post-View Conversions", "post_view_conversions", "amount"),
    "METRIC_MEDIA_COST_ADVERTISER": Metric(
        "Media Cost (Advertiser Currency)", "media_cost_advertiser", "amount"
    ),
    "METRIC_MEDIA_COST_PARTNER": Metric("Media Cost (Partner Currency)", "media_cost_partner", "amount"),
    "METRIC_MEDIA_COST_USD": Metric("Media Cost (USD)", "media_cost_usd", "amount"),
    "METRIC_REVENUE_ADVERTISER": Metric("Revenue (Adv Currency)", "revenue_advertiser", "amount"),
    "METRIC_REVENUE_PARTNER": Metric("Revenue (Partner Currency)", "revenue_partner", "amount"),
    "METRIC_REVENUE_USD": Metric("Revenue (USD)", "revenue_usd", "amount"),
    "METRIC_REVENUE_ECPM_USD": Metric(
        "Revenue eCPM (USD)", "revenue_usd", "ratio", over="impressions", factor=1000
    ),
    "METRIC_MEDIA_COST_ECPM_USD": Metric(
        "Media Cost eCPM (USD)", "media_cost_usd", "ratio", over="impressions", factor=1000
    ),
}
GRAIN = frozenset(
    {"date", "advertiser_id", "campaign_id", "insertion_order_id", "line_item_id", "creative_id"}
)
# Non-additive reports have no totals row.
WITHOUT_TOTALS = frozenset({"REACH", "UNIQUE_REACH_AUDIENCE", "FULL_PATH", "PATH_ATTRIBUTION"})
