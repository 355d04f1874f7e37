{#
    Some version of the dimension has the entity. It warns only: delivery reaches back behind the first snapshot, so an
    entity that was removed before it is in no dimension. Null ids are allowed.
#}
{% test known_entity(model, column_name, dimension, dimension_key, with_platform=false) %}
{{ config(severity='warn') }}

select distinct
    {% if with_platform %}facts.platform,{% endif %}
    facts.{{ column_name }}
from {{ model }} as facts
left join {{ dimension }} as entities
    on
        facts.{{ column_name }} = entities.{{ dimension_key }}
        {% if with_platform %}and facts.platform = entities.platform{% endif %}
where
    facts.{{ column_name }} is not null
    and entities.{{ dimension_key }} is null

{% endtest %}
