{#
    Partitions on BigQuery (docs/bigquery.md). A raw table may refuse queries without a bound on its day
    (`require_partition_filter` of a target), so staging models have one that leaves nothing out; a bound that a model
    puts on a staging model's day reaches the raw table and prunes it.
#}


{# After `from source(...)`: every day there can be. #}
{% macro every_day(column) -%}
    {{ adapter.dispatch('every_day')(column) }}
{%- endmacro %}

{% macro default__every_day(column) -%}
{%- endmacro %}

{% macro bigquery__every_day(column) -%}
    where {{ column }} >= date '1900-01-01'
{%- endmacro %}


{#
    How dbt-bigquery replaces partitions, with two differences: the days are literals, so that the MERGE prunes, and days
    that the source does not have any more are among them, so that they go in the same statement.

    `config.meta.days_of` names the model that has all days; looked_at() says which of them are looked at.
#}
{% macro bq_insert_overwrite_sql(
    tmp_relation, target_relation, sql, unique_key, partition_by, partitions, dest_columns, tmp_relation_exists, copy_partitions
) -%}
    {%- set days = replaced_days(tmp_relation, target_relation, partition_by.field, config.get('meta', {}).get('days_of')) -%}
    {{ bq_static_insert_overwrite_sql(
        tmp_relation, target_relation, sql, partition_by, days, dest_columns, tmp_relation_exists, copy_partitions
    ) }}
{%- endmacro %}

{% macro replaced_days(new_rows, target_relation, column, all_days) -%}
    {%- set query -%}
        select distinct {{ column }} as replaced_day from {{ new_rows }}
        union distinct
        select distinct {{ column }}
        from {{ target_relation }}
        where
            {{ looked_at(column) }}
            and {{ column }} not in (select {{ column }} from {{ ref(all_days) }} where {{ looked_at(column) }})
        order by 1
    {%- endset -%}
    {%- set days = [] -%}
    {%- for day in run_query(query).columns[0].values() -%}
        {%- do days.append("date '" ~ day ~ "'") -%}
    {%- endfor -%}
    {#- A day that never was: nothing is replaced. -#}
    {{ return(days or ["date '0001-01-01'"]) }}
{%- endmacro %}
