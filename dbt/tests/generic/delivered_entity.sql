{#
    Whatever delivers on a day that was observed is an entity of the dimension. Other days are left out: reports reach
    back behind the first snapshot, to entities that were gone by then. It warns and does not fail, because an entity can
    deliver and be removed on one day. Null ids are allowed.
#}
{% test delivered_entity(model, column_name, dimension, dimension_key, observed, with_platform=false) %}
{{ config(severity='warn') }}

{%- set same_platform = 'facts.platform = entities.platform' if with_platform else 'true' %}

with

observed_days as (

    select distinct
        platform,
        account_id,
        snapshot_date
    from {{ observed }}

)

select distinct facts.{{ column_name }}
from {{ model }} as facts
inner join observed_days
    on
        facts.platform = observed_days.platform
        and facts.account_id = observed_days.account_id
        and facts.report_date = observed_days.snapshot_date
left join {{ dimension }} as entities
    on
        facts.{{ column_name }} = entities.{{ dimension_key }}
        and {{ same_platform }}
where
    facts.{{ column_name }} is not null
    and entities.{{ dimension_key }} is null

{% endtest %}
