{# The days that a pipeline has just loaded, [start, end); nothing if everything is to be looked at.

   From the environment too, for dbt reads the whole project anew whenever `--vars` are others than the last time. Only
   when SQL is made, not when the project is read: or dbt would read the models that use them anew. #}
{% macro window_start() -%}
    {{ return(var('window_start') or (env_var('ADELT_WINDOW_START', '') if execute else '')) }}
{%- endmacro %}

{% macro window_end() -%}
    {{ return(var('window_end') or (env_var('ADELT_WINDOW_END', '') if execute else '')) }}
{%- endmacro %}


{# The first day that no raw table forgets while dbt runs; nothing if they keep all days. A partition expires at the
   beginning (UTC) of the day that is `raw_days` after its own, and the next day may begin meanwhile. #}
{% macro raw_since() -%}
    {%- set days = var('raw_days') or (env_var('ADELT_RAW_DAYS', '') if execute else '') -%}
    {%- if days -%}
        {{ return((run_started_at - modules.datetime.timedelta(days=days | int - 2)).strftime('%Y-%m-%d')) }}
    {%- endif -%}
    {{ return('') }}
{%- endmacro %}


{# dbt's own, in which the `where` of a test may say __window_start__ (a day long ago, if there is no window). #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') or '' -%}
    {%- if where -%}
        {%- set where = where | replace('__window_start__', window_start() or '1900-01-01') -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}
